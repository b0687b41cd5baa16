// Runs a monitor and records which rules of its roles it needs: a stand-in for `swiftlet-vmm` in test runs, never shipped.
//
// SWIFTLET_RECORDED_MONITOR is the monitor, SWIFTLET_RECORD the file that lines are appended to, one for each rule at its
// first use: `used ROLE RULE`, or `missing ROLE NUMBER ARGUMENTS` for a call without one. Where the environment is not
// handed on, both stand in the file `recorder.conf` beside this program, a line each. The monitor keeps this process's
// number, arguments, descriptors and exit status; a child of it records.
//
// `--list` prints all rules, `ordinary` or `rare` before each.
import CLinux
import Jail
import LinuxCalls

func environmentValue(_ name: String) -> String? {
    guard let file = try? open("/proc/self/environ", .readOnly) else { return nil }
    var bytes: [UInt8] = []
    while let count = try? read(file.number, appendingTo: &bytes, maximumBytes: 4096), count > 0 {}
    for entry in bytes.split(separator: 0) {
        let text = String(decoding: entry, as: UTF8.self)
        if text.utf8.starts(with: (name + "=").utf8) { return String(text.dropFirst(name.count + 1)) }
    }
    return nil
}

func fail(_ text: String) -> Never {
    writeToStandardError("jail-recorder: \(text)\n")
    exitProcess(1)
}

/// Records until every filtered thread is gone.
func record(_ socket: Int32, into path: String) {
    guard let file = try? open(path, [.writeOnly, .create, .append]) else { fail("\(path) cannot be written") }
    let report = file.number
    var threads = 0
    let running = EventCounter()
    while let received = try? receiveDescriptor(over: socket) {
        guard let role = ThreadRole(rawValue: UInt16(received.byte)) else { continue }
        threads += 1
        let number = received.descriptor.release()
        running.add(1)
        try? startThread(stackBytes: 512 << 10) {
            serve(FilterListener(FileDescriptor(owning: number)), role, report: report)
            running.add(-1)
        }
    }
    while running.value > 0 { sleep(nanoseconds: 20_000_000) }
}

final class EventCounter: @unchecked Sendable {
    private let lock = FutexLock()
    private var count = 0
    func add(_ change: Int) { lock.withLock { count += change } }
    var value: Int { lock.withLock { count } }
}

func serve(_ listener: consuming FilterListener, _ role: ThreadRole, report: Int32) {
    let rules = RoleRules.rules(role, with: .all)
    var isUsed = [Bool](repeating: false, count: rules.count)
    var missing: [String] = []
    while true {
        let call: AskedCall
        do throws(LinuxError) {
            // Hung up: its thread is gone for good. Not every kernel says so to whoever waits for the next call.
            if isHungUp(listener.descriptor.number) { return }
            guard let next = try listener.next() else { continue }
            call = next
        } catch { return }
        if let index = rules.firstIndex(where: { $0.allows(call.number, call.arguments) }) {
            if !isUsed[index] {
                isUsed[index] = true
                try? writeAll(report, "used \(role.name) \(rules[index].label)\n")
            }
        } else {
            var line = "missing \(role.name) \(call.number)"
            for argument in call.arguments { line += " 0x" + String(argument, radix: 16) }
            line += "\n"
            if !missing.contains(line), missing.count < 100 {
                missing.append(line)
                try? writeAll(report, line)
            }
        }
        listener.letThrough(call)
    }
}

/// Waits for something to come.
func isHungUp(_ descriptor: Int32) -> Bool {
    // struct pollfd: descriptor, events (16 bits), what there is (16 bits).
    var entry = UInt64(UInt32(bitPattern: descriptor)) | 1 << 32
    // SAFETY: the kernel reads and fills the entry during the call.
    _ = unsafe withUnsafeMutablePointer(to: &entry) { entry in
        linux_system_call(Int(__NR_poll), Int(bitPattern: entry), 1, -1, 0, 0, 0)
    }
    return entry >> 48 & 0x10 != 0
}

openMissingStandardStreams()
runRecorder()

func runRecorder() -> Never {
    let arguments = processArguments()
    if arguments.dropFirst().first == "--list" {
        for role in ThreadRole.allCases {
            for rule in RoleRules.rules(role, with: .all) {
                let occasion = rule.isOrdinary ? "ordinary" : "rare"
                writeToStandardOutput("\(occasion) \(role.name) \(rule.label)\n")
            }
        }
        exitProcess(0)
    }
    var monitor = environmentValue("SWIFTLET_RECORDED_MONITOR")
    var recordPath = environmentValue("SWIFTLET_RECORD")
    if monitor == nil, let own = arguments.first, let slash = own.lastIndex(of: "/"),
        let file = try? open(String(own[..<slash]) + "/recorder.conf", .readOnly)
    {
        var bytes: [UInt8] = []
        while let count = try? read(file.number, appendingTo: &bytes, maximumBytes: 4096), count > 0 {}
        let lines = bytes.split(separator: 10).map { String(decoding: $0, as: UTF8.self) }
        if lines.count >= 2 { (monitor, recordPath) = (lines[0], lines[1]) }
    }
    guard let monitor, let recordPath else { fail("SWIFTLET_RECORDED_MONITOR and SWIFTLET_RECORD are wanted") }

    // A program beside the monitor, and in no jail.
    if arguments.dropFirst().first == "attach" { executeProgram(monitor, [monitor] + arguments.dropFirst()) }
    guard let pair = try? SocketPair() else { fail("no socket pair") }
    // SAFETY: no address is passed. The child has memory of its own; one thread runs here.
    let child = linux_system_call(Int(__NR_fork), 0, 0, 0, 0, 0, 0)
    if child == 0 {
        // The monitor's streams are not held open, and its end is not waited for by anybody who waits for the streams.
        for number: Int32 in 0...1 { _ = FileDescriptor(owning: number) }
        _ = linux_system_call(Int(__NR_setsid), 0, 0, 0, 0, 0, 0)
        let ours = pair.takeFirst()
        record(ours, into: recordPath)
        exitProcess(0)
    }
    let theirs = pair.takeSecond()
    _ = try? fileControl(theirs, F_SETFD, 0)
    executeProgram(monitor, [monitor] + arguments.dropFirst() + ["--record-seccomp", String(theirs)])
    fail("\(monitor) cannot be run")
}

/// Two connected Unix stream sockets.
final class SocketPair {
    private let numbers: (Int32, Int32)

    init() throws(LinuxError) {
        var numbers: (Int32, Int32) = (-1, -1)
        // SAFETY: the kernel fills two numbers during the call. AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC.
        _ = unsafe try withUnsafeMutablePointer(to: &numbers) { numbers throws(LinuxError) in
            unsafe try systemCall(__NR_socketpair, 1, 1 | 0x80000, 0, Int(bitPattern: numbers))
        }
        self.numbers = numbers
    }

    func takeFirst() -> Int32 {
        _ = FileDescriptor(owning: numbers.1)
        return numbers.0
    }

    func takeSecond() -> Int32 {
        _ = FileDescriptor(owning: numbers.0)
        return numbers.1
    }
}

/// Returns only when that was not possible.
func executeProgram(_ path: String, _ arguments: [String]) {
    var bytes: [[UInt8]] = []
    for argument in arguments { bytes.append(Array(argument.utf8) + [0]) }
    let flat = bytes.flatMap { $0 }
    // SAFETY: the texts and the list of their addresses outlive the call. There is no environment.
    unsafe flat.withUnsafeBufferPointer { texts in
        var places: [Int] = []
        var place = Int(bitPattern: texts.baseAddress)
        for text in bytes {
            places.append(place)
            place += text.count
        }
        places.append(0)
        unsafe places.withUnsafeBufferPointer { list in
            let end = Int(bitPattern: list.baseAddress) + (places.count - 1) * 8
            _ = linux_system_call(Int(__NR_execve), places[0], Int(bitPattern: list.baseAddress), end, 0, 0, 0)
        }
    }
}
