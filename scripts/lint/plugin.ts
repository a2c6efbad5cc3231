import { resolve } from "node:path";
import { findBreach } from "./layers.ts";

/** The linter's syntax nodes, as far as this plugin looks into them. */
interface ImportNode {
  readonly type: string;
  /** Absent in an export without `from`. */
  readonly source?: LiteralNode | null;
}

interface LiteralNode {
  readonly type: string;
  readonly value?: unknown;
}

interface RuleContext {
  readonly filename: string;
  report(finding: { readonly message: string; readonly node: ImportNode }): void;
}

type Visitor = Readonly<Record<string, (node: ImportNode) => void>>;

const root = resolve(import.meta.dirname, "../..");

/** Every way in which one file names another: import, re-export, import(), import type, `import("…").Type`. */
const layers = {
  create(context: RuleContext): Visitor {
    const check = (node: ImportNode): void => {
      const specifier = readSpecifier(node);
      if (specifier === undefined) return;
      const breach = findBreach(root, context.filename, specifier);
      if (breach !== undefined) context.report({ message: `layer rule: ${breach}`, node });
    };
    return {
      ImportDeclaration: check,
      ImportExpression: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
      TSImportType: check,
    };
  },
};

function readSpecifier(node: ImportNode): string | undefined {
  return typeof node.source?.value === "string" ? node.source.value : undefined;
}

const forbidden: Readonly<Record<string, string>> = {
  TSEnumDeclaration: "no enums: use a union of string literals",
  TSParameterProperty: "no parameter properties: declare the field",
  Decorator: "no decorators",
};

/** What the language has and this project does not use. */
const erasableStyle = {
  create(context: RuleContext): Visitor {
    const entries = Object.entries(forbidden).map(([type, message]): [string, (node: ImportNode) => void] => [
      type,
      (node) => context.report({ message, node }),
    ]);
    return Object.fromEntries(entries);
  },
};

// The linter takes a plugin by its default export.
export default { meta: { name: "holdfast" }, rules: { layers, "erasable-style": erasableStyle } };
