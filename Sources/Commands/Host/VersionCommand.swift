import ArgumentParser

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version.")
    @OptionGroup var format: FormatOptions

    func run() throws {
        struct Document: Encodable { var version: String }
        if format.isJSON {
            Output.json(Document(version: Product.version))
        } else {
            Output.line("swiftlet \(Product.version)")
        }
    }
}

struct CompletionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completions", abstract: "Print what a shell needs to complete our commands.",
        discussion: """
            Examples:
              swiftlet completions bash > /etc/bash_completion.d/swiftlet
              swiftlet completions zsh > ~/.zfunc/_swiftlet
              swiftlet completions fish > ~/.config/fish/completions/swiftlet.fish
            """)
    @Argument(help: "bash, zsh or fish.", completion: .list(["bash", "zsh", "fish"])) var shell: String

    func run() throws {
        guard let shell = CompletionShell(rawValue: shell) else {
            throw CommandFailure(
                "usage.shell", "there are no completions for \"\(shell)\"; there are for bash, zsh and fish")
        }
        let script = SwiftletCommand.completionScript(for: shell)
        Output.line(shell == .bash ? ProgramArguments.sparingPrograms(inBash: script) : script)
    }
}
