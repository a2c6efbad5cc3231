import { chromaFixture } from "../support/chroma-fixture.ts";
import { describeDatastore } from "./datastore.ts";

describeDatastore("chroma", chromaFixture);
