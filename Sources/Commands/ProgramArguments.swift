/// Keeps a program's own options away from ours: everything after the first word that is no option of `run`, `exec` or
/// `host exec` is the program's, as it is with `env` or `sudo`.
enum ProgramArguments {
    /// The options that take their value from the next word.
    static let optionsWithValues: Set<String> = [
        "--cpus", "--memory", "-m", "--env", "-e", "--env-file", "--workdir", "-w", "--user", "-u", "--hostname",
        "--name", "--timeout", "--kernel", "--disk", "--settings", "--settings-commit", "--network", "--entrypoint",
        "--pull", "--ca-file", "--mirror", "--volume", "-v", "--tmpfs", "--shm-size", "--secret", "--file", "--restart",
        "--stop-signal", "--stop-timeout", "--label", "-l", "--expose", "--group-add", "--add-host", "--dns",
        "--dns-search", "--health-cmd", "--health-interval", "--health-timeout", "--health-retries",
        "--health-start-period", "--health-start-interval", "--health-on-failure", "--cidfile", "--cpu-shares",
        "--disk-bandwidth", "--disk-ops", "--network-in", "--network-in-packets", "--network-out",
        "--network-out-packets", "--warm-when", "--memory-max", "--publish", "-p", "--egress",
    ]

    /// The parser's script for bash, so that it offers nothing of ours where the program's words stand, and knows commands by
    /// their other names, too, which the parser takes and its script does not.
    static func sparingPrograms(inBash script: String) -> String {
        let name = "__swiftlet_is_in_program"
        var lines = [
            "# Whether a word before the last one is neither an option nor an option's value: the image or machine, after which",
            "# everything is the program's.", "\(name)() {", "    local word is_value=false",
            #"    for word in "${unparsed_words[@]::${#unparsed_words[@]} - 1}"; do"#,
            #"        if "${is_value}"; then is_value=false; continue; fi"#, #"        case "${word}" in"#,
            "        --) return 0 ;;", "        \(optionsWithValues.sorted().joined(separator: "|"))) is_value=true ;;",
            "        -?*) ;;", "        *) return 0 ;;", "        esac", "    done", "    return 1", "}", "",
        ]
        let functions = ["run", "exec", "host_exec"].map { "_swiftlet_\($0)() {" }
        var isFirst = true
        // The first function is that of all commands.
        var isInside = false
        for line in script.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            // Behind the line that says which shell it is for.
            if isFirst {
                lines.insert(line, at: 0)
                isFirst = false
                continue
            }
            if line == #"    local -r subcommand="${unparsed_words[0]}""# {
                // The last word is still being written.
                lines.append(#"    if [ "${#unparsed_words[@]}" -gt 1 ]; then case "${unparsed_words[0]}" in"#)
                let words = isInside ? [("ls", "list"), ("rm", "remove")] : SwiftletCommand.shortcuts.map { ($0, $1) }
                for (word, meant) in words.sorted(by: { $0.0 < $1.0 }) {
                    let names = isInside ? meant : "image \(meant)"
                    lines.append(#"    \#(word)) unparsed_words=(\#(names) "${unparsed_words[@]:1}") ;;"#)
                }
                lines.append("    esac; fi")
                isInside = true
            }
            lines.append(line)
            if functions.contains(line) { lines.append("    if \(name); then return; fi") }
        }
        return lines.joined(separator: "\n")
    }

    /// The same arguments with `--` before the first word that is no option.
    static func separated(_ arguments: [String]) -> [String] {
        let verbs: [[String]] = [["run"], ["exec"], ["host", "exec"]]
        guard let verb = verbs.first(where: { arguments.starts(with: $0) }) else { return arguments }
        var index = verb.count
        while index < arguments.count {
            let word = arguments[index]
            if word == "--" { return arguments }
            guard word.hasPrefix("-"), word != "-" else { break }
            index += optionsWithValues.contains(word) ? 2 : 1
        }
        guard index < arguments.count else { return arguments }
        return arguments[..<index] + ["--"] + arguments[index...]
    }
}
