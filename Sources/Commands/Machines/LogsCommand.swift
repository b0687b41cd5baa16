import AgentClient
import ArgumentParser
import Fleet
import HostFiles

struct LogsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "Print what a machine's program has written.",
        discussion: """
            Standard output and standard error are told apart: each comes out where it went in. At most the last 16 MiB
            are kept.

            Examples:
              swiftlet logs web
              swiftlet logs --follow --timestamps web
              swiftlet logs --tail 20 web
              swiftlet logs --console web
            """)

    @Flag(name: [.short, .long], help: "Go on as more is written, until the machine ends.") var follow = false
    @Flag(name: [.short, .long], help: "Print each line's time.") var timestamps = false
    @Option(help: ArgumentHelp("Begin with so many of the last lines.", valueName: "lines")) var tail: Int?
    @Flag(help: "Print the kernel's console instead.") var console = false
    @Argument(help: "A machine's name or id.", completion: Completions.machines) var machine: String
    @OptionGroup var format: ErrorFormatOptions

    func validate() throws {
        if let tail, tail < 0 { throw ValidationError("--tail takes a number of lines, not \(tail)") }
    }

    func run() throws {
        let store = Product.fleet.store
        let record = try store.find(machine)
        var log = LogFile(HostPath(console ? store.consoleLog(record) : store.outputLog(record)))
        var reader = LogReader(isRaw: console, showsTimes: timestamps)
        var begin = log.before(limit: 32 << 20)
        if let tail {
            log.readOn { begin += $0 }
            begin.removeSubrange(..<reader.start(ofLast: tail, in: begin))
        }
        reader.take(begin)
        log.follow(record, in: store, isOnce: !follow) { reader.take(Array($0)) }
        reader.finish()
    }
}

/// Turns entries of a log back into what was written.
struct LogReader {
    let isRaw: Bool
    let showsTimes: Bool
    private var pending: [UInt8] = []
    private var isInLine = false

    init(isRaw: Bool, showsTimes: Bool) {
        self.isRaw = isRaw
        self.showsTimes = showsTimes
    }

    mutating func take(_ bytes: [UInt8]) {
        if isRaw {
            Output.bytes(bytes, to: 1)
            return
        }
        pending += bytes
        var start = pending.startIndex
        while let end = pending[start...].firstIndex(of: 0x0a) {
            let (stream, text) = decode(pending[start..<end])
            Output.bytes(text, to: stream)
            start = end + 1
        }
        pending.removeSubrange(..<start)
    }

    func finish() {}

    /// Where the last lines begin: after the end of the one before them. What an unfinished line has so far is one.
    func start(ofLast lines: Int, in bytes: [UInt8]) -> Int {
        var left = lines
        var end = bytes.endIndex
        var isAtEnd = true
        while end > 0 {
            let begin = bytes[..<(end - 1)].lastIndex(of: 0x0a).map { $0 + 1 } ?? 0
            if isAtEnd || endsLine(bytes[begin..<end]) {
                if left == 0 { return end }
                left -= 1
            }
            isAtEnd = false
            end = begin
        }
        return 0
    }

    /// Whether the line ends with this entry; every one of a console does.
    private func endsLine(_ entry: ArraySlice<UInt8>) -> Bool {
        let parts = entry.split(separator: 0x20, maxSplits: 3, omittingEmptySubsequences: false)
        return isRaw || parts.count < 3 || !parts[2].elementsEqual("P".utf8)
    }

    /// An entry's stream and text; the line's end is there only if it was written.
    mutating func decode(_ entry: ArraySlice<UInt8>) -> (stream: Int32, text: [UInt8]) {
        let parts = entry.split(separator: 0x20, maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 4 else { return (1, []) }
        let stream: Int32 = parts[1].elementsEqual("stderr".utf8) ? 2 : 1
        var text: [UInt8] = []
        if showsTimes, !isInLine { text += parts[0] + [0x20] }
        text += parts[3]
        isInLine = parts[2].elementsEqual("P".utf8)
        if !isInLine { text.append(0x0a) }
        return (stream, text)
    }
}
