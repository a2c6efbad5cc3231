import type { Command } from "commander";

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

/** What a word after a verb can be, besides its options. */
const argumentKinds: Readonly<Record<string, "jobs" | "backups">> = {
  ...Object.fromEntries(["backup", "list", "prune", "pause", "resume", "runs"].map((verb) => [verb, "jobs"])),
  ...Object.fromEntries(
    ["show", "restore", "verify", "drill", "delete", "pin", "unpin", "accept", "copy"].map((verb) => [verb, "backups"]),
  ),
};

interface Words {
  readonly verb: string;
  readonly description: string;
  readonly options: readonly { readonly long: string; readonly description: string }[];
  readonly subcommands: readonly string[];
  readonly kind: "jobs" | "backups" | undefined;
}

/** The completion of a shell, from the very commands that there are. Names of jobs and backups are asked of the daemon. */
export function formatCompletion(shell: Shell, root: Command): string {
  const words = root.commands.map((command): Words => ({
    verb: command.name(),
    description: command.description(),
    options: command.options.map(({ long, description }) => ({ long: long ?? "", description })),
    subcommands: command.commands.map((child) => child.name()),
    kind: argumentKinds[command.name()],
  }));
  return { bash: formatBash, zsh: formatZsh, fish: formatFish }[shell](words);
}

const names: Readonly<Record<"jobs" | "backups", string>> = {
  jobs: "holdfast jobs 2>/dev/null | cut -f1",
  backups: "{ echo latest; holdfast list 2>/dev/null | cut -f1; }",
};

function formatBash(words: readonly Words[]): string {
  const cases = words.map(({ verb, options, subcommands, kind }) => {
    const fixed = [...options.map(({ long }) => long), ...subcommands].join(" ");
    return `    ${verb}) words="${fixed}${kind === undefined ? "" : ` $(${names[kind]})`}" ;;`;
  });
  return `# bash completion of holdfast: source <(holdfast completion bash)
_holdfast() {
  local cur=\${COMP_WORDS[COMP_CWORD]} verb="" words="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in -*) ;; *) verb=$word; break ;; esac
  done
  case $verb in
    "") words="${words.map(({ verb }) => verb).join(" ")} help --config --socket --json --no-color --help" ;;
${cases.join("\n")}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -o default -F _holdfast holdfast
`;
}

function formatZsh(words: readonly Words[]): string {
  const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
  const verbs = words.map(({ verb, description }) => `    ${quote(`${verb}:${description.replaceAll(":", "\\:")}`)}`);
  const cases = words.map(({ verb, options, subcommands, kind }) => {
    const fixed = [...options.map(({ long }) => long), ...subcommands].join(" ");
    const asked = kind === undefined ? "" : `; compadd -- \${(f)"$(${names[kind]})"}`;
    return `    ${verb}) compadd -- ${fixed}${asked} ;;`;
  });
  return `#compdef holdfast
# zsh completion of holdfast: holdfast completion zsh > "\${fpath[1]}/_holdfast"
_holdfast() {
  local -a verbs
  verbs=(
${verbs.join("\n")}
  )
  if (( CURRENT == 2 )); then _describe verb verbs; return; fi
  case $words[2] in
${cases.join("\n")}
  esac
  _files
}
_holdfast "$@"
`;
}

function formatFish(words: readonly Words[]): string {
  const quote = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const lines = words.flatMap(({ verb, description, options, subcommands, kind }) => {
    const within = `complete -c holdfast -n '__fish_seen_subcommand_from ${verb}'`;
    return [
      `complete -c holdfast -n __fish_use_subcommand -a ${verb} -d ${quote(description)}`,
      ...options.map((option) => `${within} -l ${option.long.replace(/^--/, "")} -d ${quote(option.description)}`),
      ...(subcommands.length === 0 ? [] : [`${within} -a ${quote(subcommands.join(" "))}`]),
      ...(kind === undefined ? [] : [`${within} -a '(${names[kind].replace(/^\{ (.*); \}$/, "$1")})'`]),
    ];
  });
  return `# fish completion of holdfast: holdfast completion fish > ~/.config/fish/completions/holdfast.fish\n${lines.join("\n")}\n`;
}
