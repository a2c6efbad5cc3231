import { neo4jFixture } from "../support/neo4j-fixture.ts";
import { describeDatastore } from "./datastore.ts";

describeDatastore("neo4j, an archive", neo4jFixture);
