import AgentClient
import ArgumentParser
import Fleet
import HostFiles
import LinuxCalls

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
        let path = HostPath(console ? store.consoleLog(record) : store.outputLog(record))
        var reader = LogReader(isRaw: console, showsTimes: timestamps)
        var file = try? HostFile(path)
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        var begin = (try? HostPath("\(path).1").readWhole(limit: 32 << 20)) ?? []
        if let tail {
            while let count = try file?.read(into: &buffer), count > 0 { begin += buffer[..<count] }
            begin.removeSubrange(..<reader.start(ofLast: tail, in: begin))
        }
        reader.take(begin)
        while true {
            // Asked before the file is read to its end, so that nothing written last is missed.
            let isOver = !follow || ((try? store.find(record.id))?.state.isOver ?? true)
            if file == nil { file = try? HostFile(path) }
            while let count = try file?.read(into: &buffer), count > 0 { reader.take(Array(buffer[..<count])) }
            if isOver { break }
            LinuxCalls.sleep(nanoseconds: 50_000_000)
            // The log is turned over when it is full.
            if let now = try? path.status(), let open = try file?.status(), now.inodeNumber != open.inodeNumber {
                while let count = try file?.read(into: &buffer), count > 0 { reader.take(Array(buffer[..<count])) }
                file = try? HostFile(path)
            }
        }
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
