import { redisFixture } from "../support/redis-fixture.ts";
import { describeDatastore } from "./datastore.ts";

describeDatastore("redis", redisFixture);
