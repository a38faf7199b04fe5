/// What `--help` and `completions bash` print, made from the table of commands.
enum Help {
    static var overview: String {
        """
        baton: a highly available SMTP relay

        \(list(of: Baton.commands))
        Each has --help with an example. Reading commands have --json.
        Exit codes: 0 fine · 1 bad news · 2 wrong usage · 3 no node answered

        """
    }

    static func list(of commands: [CommandSpec]) -> String {
        let names = commands.map {
            "baton " + ($0.path + ($0.arguments.isEmpty ? [] : [$0.arguments])).joined(separator: " ")
        }
        let width = min(names.map(\.count).max() ?? 0, 30)
        return zip(names, commands).map { name, command in
            let padding = String(repeating: " ", count: max(2, width + 2 - name.count))
            return "  \(name)\(padding)\(command.summary)\n"
        }.joined()
    }

    static func text(of command: CommandSpec) -> String {
        let name = "baton \(command.path.joined(separator: " "))"
        var text = "\(name): \(command.summary)\n\n"
        text += "usage  \(name)\(command.options.isEmpty ? "" : " [options]")"
        text += command.arguments.isEmpty ? "\n" : " \(command.arguments)\n"
        for (index, example) in command.examples.enumerated() {
            text += (index == 0 ? "\nexample  " : "         ") + example + "\n"
        }
        if !command.options.isEmpty {
            text += "\n"
            let shown = command.options.map { "--\($0.name)" + ($0.value.map { " \($0)" } ?? "") }
            let width = shown.map(\.count).max() ?? 0
            for (left, option) in zip(shown, command.options) {
                text += "  \(left)\(String(repeating: " ", count: width + 2 - left.count))\(option.help)\n"
            }
        }
        if !command.details.isEmpty { text += "\n" + paragraphs(command.details).joined(separator: "\n") + "\n" }
        return text
    }

    /// Filled to the width of tables; the keys of `--json` begin a line of their own.
    private static func paragraphs(_ text: String) -> [String] {
        text.replacing("\n", with: " ").replacing(" JSON: ", with: "\nJSON: ").split(separator: "\n").flatMap {
            folded(String($0), TextTable.width)
        }
    }

    /// Completes commands, their verbs and their options.
    static var bashCompletion: String {
        var firsts: [String] = []
        for command in Baton.commands where !firsts.contains(command.path[0]) { firsts.append(command.path[0]) }
        var cases = ""
        for first in firsts {
            let group = Baton.commands.filter { $0.path[0] == first }
            let verbs = group.compactMap { $0.path.count > 1 ? $0.path[1] : nil }
            if !verbs.isEmpty { cases += "    \(first)) words=\"\(verbs.joined(separator: " "))\" ;;\n" }
            for command in group where !command.options.isEmpty {
                let options = command.options.map { "--\($0.name)" }.joined(separator: " ")
                let pattern =
                    command.path.count > 1 ? "'\(command.path.joined(separator: " "))'" : "'\(first) '*|\(first)"
                if verbs.isEmpty || command.path.count > 1 {
                    cases += "    \(pattern)) words=\"\(options) --help\" ;;\n"
                }
            }
        }
        return """
            # bash completion for baton: source it, or put it into /etc/bash_completion.d/
            _baton() {
              local current="${COMP_WORDS[COMP_CWORD]}" path words="" word count=0
              for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
                case "$word" in -*) break ;; esac
                path="${path:+$path }$word"; count=$((count + 1)); [ $count -ge 2 ] && break
              done
              case "$path" in
                '') words="\(firsts.joined(separator: " ")) --help" ;;
            \(cases)  esac
              case "$current" in
                */*|.*) COMPREPLY=($(compgen -f -- "$current")) ;;
                *) COMPREPLY=($(compgen -W "$words" -- "$current")); [ ${#COMPREPLY[@]} -eq 0 ] && COMPREPLY=($(compgen -f -- "$current")) ;;
              esac
            }
            complete -F _baton baton

            """
    }
}
