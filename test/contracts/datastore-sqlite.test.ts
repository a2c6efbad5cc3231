import { sqliteFixture } from "../support/datastore-fixtures.ts";
import { describeDatastore } from "./datastore.ts";

describeDatastore("sqlite", sqliteFixture);
