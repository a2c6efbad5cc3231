type Defined<T> = string extends keyof T
  ? { [Key in keyof T]: Exclude<T[Key], undefined> }
  : { [Key in keyof T as undefined extends T[Key] ? never : Key]: T[Key] } & {
      [Key in keyof T as undefined extends T[Key] ? Key : never]?: Exclude<T[Key], undefined>;
    };

/** The fields that are not undefined. */
export function pickDefined<T extends object>(fields: T): Defined<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Defined<T>;
}
