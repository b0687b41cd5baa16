/// Keeps a program's own options away from ours: everything after the first word that is no option of `run`, `exec` or
/// `host exec` is the program's, as it is with `env` or `sudo`.
enum ProgramArguments {
    /// The options that take their value from the next word.
    static let optionsWithValues: Set<String> = [
        "--cpus", "--memory", "-m", "--env", "-e", "--env-file", "--workdir", "-w", "--user", "-u", "--hostname",
        "--name", "--timeout", "--kernel", "--disk", "--network", "--entrypoint",
    ]

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
