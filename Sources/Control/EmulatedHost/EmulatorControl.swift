import Glibc
import LinuxCalls
import WireFormats

/// QEMU's control socket: one command, one answer. Source: QEMU, docs/interop/qmp-spec.
///
/// Trust: what QEMU says is bounded in length and parsed with the same care as anything else.
struct EmulatorControl: ~Copyable {
    /// How long QEMU may take to listen, and to answer: it does both within a tenth of a second on an idle machine.
    static let patienceMilliseconds = 60_000

    private let socket: FileDescriptor
    private var pending: [UInt8] = []

    private init(owning socket: consuming FileDescriptor) { self.socket = socket }

    /// Connects as soon as the emulator listens, and greets.
    /// - Parameter isRunning: asked while waiting; when it says no, waiting is over.
    static func connect(
        _ path: String, waitingMilliseconds: Int = patienceMilliseconds, isRunning: () -> Bool
    ) throws(HostError) -> EmulatorControl {
        let end = Clock.monotonic.nanoseconds() + UInt64(waitingMilliseconds) * 1_000_000
        while true {
            if let socket = try? UnixSocket.connect(path) { return try greet(socket) }
            guard isRunning() else { throw HostError(.emulatorEnded, "the emulator ended at once") }
            guard Clock.monotonic.nanoseconds() < end else {
                throw HostError(.emulatorEnded, "the emulator did not open its control socket")
            }
            LinuxCalls.sleep(nanoseconds: 1_000_000)
        }
    }

    private static func greet(_ socket: consuming FileDescriptor) throws(HostError) -> EmulatorControl {
        try? setNonBlocking(socket.number, false)
        // A control socket that stays silent must not stop anybody for ever.
        var patience = timeval(tv_sec: patienceMilliseconds / 1000, tv_usec: 0)
        // SAFETY: the kernel reads the structure during the call.
        unsafe setsockopt(
            socket.number, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var control = EmulatorControl(owning: socket)
        _ = try control.nextDocument()
        try control.perform("qmp_capabilities")
        return control
    }

    /// Carries a command out.
    /// - Parameter arguments: a JSON object.
    /// - Returns: what the answer holds under `return`.
    @discardableResult
    mutating func perform(_ command: String, _ arguments: String = "{}") throws(HostError) -> JSONValue {
        do throws(LinuxError) {
            try sendAll(Array("{\"execute\":\"\(command)\",\"arguments\":\(arguments)}\n".utf8))
        } catch {
            throw HostError(.emulatorEnded, "the emulator ended during \(command): \(error)")
        }
        while true {
            let document = try nextDocument()
            if let value = document.member("return") { return value }
            if let error = document.member("error") {
                throw HostError(
                    .emulatorEnded, "the emulator refused \(command): \(error.string("desc") ?? "no reason")")
            }
            // Anything else is an event.
        }
    }

    /// A socket whose other end is gone is an error here and no signal.
    private func sendAll(_ bytes: [UInt8]) throws(LinuxError) {
        var sent = 0
        while sent < bytes.count {
            // SAFETY: the kernel reads only inside the array, during the call.
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe send(
                    socket.number, buffer.baseAddress.map { unsafe $0 + sent }, buffer.count - sent, Int32(MSG_NOSIGNAL)
                )
            }
            if count < 0, errno != EINTR { throw LinuxError(errno) }
            sent += max(0, count)
        }
    }

    private mutating func nextDocument() throws(HostError) -> JSONValue {
        while true {
            if let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                let line = Array(pending[..<end])
                pending.removeSubrange(...end)
                do { return try JSONParser.parse(line) } catch {
                    throw HostError(.emulatorEnded, "the emulator's answer is not understood: \(error)")
                }
            }
            do throws(LinuxError) {
                guard pending.count <= JSONParser.maximumBytes,
                    try LinuxCalls.read(socket.number, appendingTo: &pending, maximumBytes: 16384) > 0
                else { throw LinuxError(EPIPE) }
            } catch {
                throw HostError(.emulatorEnded, "the emulator's control socket broke: \(error)")
            }
        }
    }

    /// The port of this machine from which the user-mode network forwards to the host.
    mutating func forwardedPort() throws(HostError) -> UInt16 {
        let answer = try perform("human-monitor-command", "{\"command-line\":\"info usernet\"}")
        guard case .string(let text) = answer, let port = Self.forwardedPort(in: text) else {
            throw HostError(.emulatorEnded, "the emulator does not tell the port of its network")
        }
        return port
    }

    /// `TCP[HOST_FORWARD]  12  127.0.0.1 37323  10.0.2.15  1024  0  0`
    static func forwardedPort(in text: String) -> UInt16? {
        for line in text.split(whereSeparator: \.isNewline) where line.contains("HOST_FORWARD") {
            let words = line.split(separator: " ")
            if words.count > 3 { return UInt16(words[3]) }
        }
        return nil
    }
}
