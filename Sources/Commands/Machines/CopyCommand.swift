import AgentClient
import ArgumentParser
import Fleet

struct CopyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cp", abstract: "Copy files into or out of a running machine.",
        discussion: """
            One side is MACHINE:PATH with an absolute path. Folders are copied with all that lies in them. A file gets its
            place when all of it has arrived; what was there is replaced then, and not before.

            Examples:
              swiftlet cp app.py web:/srv/
              swiftlet cp web:/var/log ./logs
            """)
    @Argument(help: "From where.", completion: Completions.places) var source: String
    @Argument(help: "To where.", completion: Completions.places) var destination: String
    @OptionGroup var format: ErrorFormatOptions

    func run() throws {
        // Before any thread is started.
        let signals = try SignalWatcher()
        let from = Place(source)
        let to = Place(destination)
        let store = Product.fleet.store
        guard source != "-", destination != "-" else {
            throw CommandFailure(
                "usage.cp",
                "- is no place for a copy; for a stream let tar make or take one: swiftlet exec web tar c -C /srv . > srv.tar (a file of that name is ./-)"
            )
        }
        let bar = ProgressBar(saysPhases: false)
        let show: (CopyProgress) -> Void = {
            bar.show("copying", detail: "\(Units.size($0.bytes)), \($0.entries) files")
        }
        switch (from, to) {
        case (.here(let path), .machine(let name, let target)):
            let remote = MachineRemote(try store.findRunning(name), store: store)
            try FileCopy.into(
                try remote.endpoint(), from: try FilePaths.absolute(path), to: target, patience: remote.copyPatience,
                signals: signals, progress: show)
        case (.machine(let name, let path), .here(let target)):
            let remote = MachineRemote(try store.findRunning(name), store: store)
            try FileCopy.outOf(
                try remote.endpoint(), from: path, to: try FilePaths.absolute(target), patience: remote.copyPatience,
                signals: signals, progress: show)
        default:
            throw CommandFailure(
                "usage.cp", "exactly one side must be MACHINE:PATH, as in `swiftlet cp file web:/tmp/`")
        }
    }

    enum Place: Equatable {
        case here(String)
        case machine(String, path: String)

        /// A colon before the first slash separates a machine from a path.
        init(_ text: String) {
            if let colon = text.firstIndex(of: ":"), !text[..<colon].contains("/"), colon != text.startIndex {
                self = .machine(String(text[..<colon]), path: String(text[text.index(after: colon)...]))
            } else {
                self = .here(text)
            }
        }
    }
}
