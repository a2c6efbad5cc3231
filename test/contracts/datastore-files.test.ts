import { looseFixture, treeFixture } from "../support/datastore-fixtures.ts";
import { describeDatastore } from "./datastore.ts";

describeDatastore("files, a tree", treeFixture);
describeDatastore("files, single ones", looseFixture);
