/** SQL: believed to be what it should be. A suspect backup is believed once it was accepted. */
export const isBelieved = "(record ->> '$.suspect[0]' IS NULL OR record ->> 'accepted' IS NOT NULL)";

/** SQL: still at its destination as far as is known. */
export const isPresent = "record ->> 'missingSinceMs' IS NULL";

/** SQL: a backup whose sizes others may be measured by; it may be partial. */
export const isMeasure = `class = 'backup' AND ${isBelieved} AND record ->> 'damaged' IS NULL AND ${isPresent}`;

/** SQL: whole, and what it should be. */
export const isGood = `${isMeasure} AND record ->> 'status' = 'ok'`;

/** SQL: good, and read back: what `latest` may mean. */
export const isVerifiedGood = `${isGood} AND record ->> 'verifiedAtMs' IS NOT NULL`;

/** SQL: total, so that the answer never depends on the order of arrival, copies apart. */
export const newestFirst = "created_at_ms DESC, job_sequence DESC, id DESC, sequence";
