import { createPostgresFixture } from "../support/postgres-fixture.ts";
import { describeDatastore } from "./datastore.ts";

describeDatastore("postgresql 15", createPostgresFixture(15));
describeDatastore("postgresql 18", createPostgresFixture(18));
