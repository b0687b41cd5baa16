import AgentClient
import ArgumentParser
import Fleet

/// Files that come from this side at each start.
struct HandedInOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A file's content, or without =PATH a variable's, as /run/secrets/NAME in memory. May be repeated.",
            valueName: "name[=path]"))
    var secret: [String] = []
    @Option(
        help: ArgumentHelp(
            "Make a file in the guest's memory of one here; mode in octal digits, owner as numbers USER[:GROUP]. May be repeated.",
            valueName: "path:guest-path[:mode[,owner]]"), completion: .file())
    var file: [String] = []

    func files() throws -> [HandedInFile] { try HandedIn.read(secrets: secret, files: file) }
}
