import AgentProtocol
import ApplianceGuest
import ChildPrograms
import FileTransfer
import LinuxCalls
import SnifferPlan

/// Keeps the capture running, keeps its packets, and sends them to whoever asks.
final class SnifferService: EventHandler {
    private static let restartNanoseconds: UInt64 = 5_000_000_000
    private static let tickNanoseconds: UInt64 = 1_000_000_000
    private static let mostReaders = 16
    /// Whoever reaches the port must not take the last places from those on the machine itself.
    private static let mostRemoteReaders = 12
    /// F_SETPIPE_SZ. Source: fcntl(2).
    private static let pipeBytes = 1 << 20

    private enum Token {
        static let signal: UInt32 = 0
        static let timer: UInt32 = 1
        static let capture: UInt32 = 2
        static let local: UInt32 = 3
        static let remote: UInt32 = 4
    }

    private let settings: SnifferSettings
    private let loop: EventLoop
    private let signals: SignalFile
    private let timer: TimerFile
    private let local: FileDescriptor
    private let remote: FileDescriptor?
    private let remoteNumber: Int32
    private var ring: PacketRing
    private var reader = CaptureReader()
    /// Of the file that a reader gets; the first capture's, which all others are like.
    private var header: [UInt8] = []
    private var process: Int32?
    private var capture: FileDescriptor?
    private var captureNumber: Int32?
    private var captureRegistration: EventRegistration?
    private var restartTime: UInt64 = 0
    private var restartCount: UInt64 = 0
    private var readers: [SnifferReader] = []
    private var buffer = [UInt8](repeating: 0, count: 256 << 10)

    init(_ settings: SnifferSettings) throws(Sniffer.Refusal) {
        self.settings = settings
        ring = PacketRing(bytes: settings.keptBytes, pieces: settings.pieceCount)
        do throws(LinuxError) {
            loop = try EventLoop()
            signals = try SignalFile(SignalSet(SignalNumber.child, SignalNumber.terminate, SignalNumber.interrupt))
            timer = try TimerFile()
            try? FileTree.makeDirectory(Sniffer.folder.bytes, mode: 0o700)
            try? FileTree.remove(Sniffer.socket.bytes)
            local = try UnixSocket.listen(Sniffer.socket.bytes, backlog: Self.mostReaders)
            if let stream = settings.stream {
                let parts = stream.address.address.address.bytes
                let listener = try TCPSocket.listen(
                    on: (parts[0], parts[1], parts[2], parts[3]), port: stream.port, backlog: Self.mostReaders)
                remoteNumber = listener.number
                remote = consume listener
            } else {
                remote = nil
                remoteNumber = -1
            }
            _ = try loop.add(signals.descriptor.number, .readable, handler: self, token: Token.signal)
            _ = try loop.add(timer.descriptor.number, .readable, handler: self, token: Token.timer)
            _ = try loop.add(local.number, .readable, handler: self, token: Token.local)
            if settings.stream != nil {
                _ = try loop.add(remoteNumber, .readable, handler: self, token: Token.remote)
            }
            try timer.arm(firstNanoseconds: Self.tickNanoseconds, intervalNanoseconds: Self.tickNanoseconds)
            try startCapture()
        } catch {
            throw Sniffer.Refusal(reason: "the capture cannot be started: " + error.text)
        }
    }

    func run() -> Int32 {
        loop.run()
        return 0
    }

    private func startCapture() throws(LinuxError) {
        let pipe = try PipePair()
        _ = try? fileControl(pipe.reading.number, 1031, Self.pipeBytes)
        try setNonBlocking(pipe.reading.number)
        let own = try Programs.start(settings.captureArguments, output: pipe.writing.number)
        process = own
        if let file = try? FileTree.open(
            (Sniffer.folder + "/capture.pid").bytes, [.writeOnly, .create, .truncate], mode: 0o600)
        {
            try? writeAll(file.number, ByteString(UInt32(truncatingIfNeeded: own)).bytes)
        }
        reader = CaptureReader()
        let reading = try pipe.reading.duplicate()
        captureRegistration = try loop.add(reading.number, .readable, handler: self, token: Token.capture)
        captureNumber = reading.number
        capture = consume reading
    }

    func handleEvent(token: UInt32, readiness: Readiness) {
        switch token {
        case Token.signal: handleSignals()
        case Token.timer:
            timer.drain()
            readers.removeAll { $0.hasEnded }
            guard process == nil, Clock.monotonic.nanoseconds() >= restartTime else { return }
            do throws(LinuxError) { try startCapture() } catch {
                restartTime = Clock.monotonic.nanoseconds() &+ Self.restartNanoseconds
                Sniffer.report("the capture cannot be started: " + error.text)
            }
        case Token.capture: takePackets()
        case Token.local: accept(local.number, isLocal: true)
        default: accept(remoteNumber, isLocal: false)
        }
    }

    private func handleSignals() {
        while let signal = signals.next() {
            guard signal == SignalNumber.child else {
                if let process { try? Children.signal(process, SignalNumber.terminate) }
                loop.stop()
                return
            }
            while let child = try? Children.reap() {
                guard child.process == process else { continue }
                process = nil
                restartCount &+= 1
                restartTime = Clock.monotonic.nanoseconds() &+ Self.restartNanoseconds
                Sniffer.report("tcpdump ended; it is started again in 5 s")
            }
        }
    }

    private func takePackets() {
        guard let number = captureNumber else { return }
        do throws(LinuxError) {
            let count = try read(number, over: &buffer)
            guard count > 0 else { return endCapture() }
            do throws(CaptureReader.Malformed) {
                try reader.feed(buffer[..<count]) { ring.append($0) }
            } catch {
                Sniffer.report("what tcpdump writes is no capture; it is ended")
                if let process { try? Children.signal(process, SignalNumber.kill) }
                endCapture()
            }
        } catch {
            if error != .tryAgain { endCapture() }
            return
        }
        if header.isEmpty { header = reader.header }
        for reader in readers { reader.wake() }
    }

    private func endCapture() {
        guard let registration = captureRegistration, let number = captureNumber else { return }
        loop.remove(registration, number)
        captureRegistration = nil
        capture = nil
        captureNumber = nil
    }

    private func accept(_ listener: Int32, isLocal: Bool) {
        while let socket = try? StreamSocket.accept(listener) {
            readers.removeAll { $0.hasEnded }
            // One too many is closed as it is let go of.
            guard readers.count < (isLocal ? Self.mostReaders : Self.mostRemoteReaders) else { continue }
            readers.append(SnifferReader(socket, self, loop, request: isLocal ? nil : .live))
        }
    }

    /// What readers ask for.
    var fileHeader: [UInt8] { header }
    var firstPosition: UInt64 { ring.start }
    var lastPosition: UInt64 { ring.end }
    func records(from position: UInt64, wantedBytes: Int) -> (bytes: ArraySlice<UInt8>, next: UInt64) {
        ring.records(from: position, wantedBytes: wantedBytes)
    }

    var status: ByteString {
        let statistics: ByteString = "/sys/class/net/capture/statistics/"
        var text: ByteString = "packets " + ByteString(ring.packetCount)
        text += "\nkept-bytes " + ByteString(UInt(ring.keptBytes))
        text += "\ndropped-pieces " + ByteString(ring.droppedPieces)
        text += "\nrestarts " + ByteString(restartCount)
        text += "\nreaders " + ByteString(UInt(readers.count { !$0.hasEnded && $0.isStream }))
        text += "\ninterface-packets " + SystemFiles.text(statistics + "rx_packets")
        text += "\ninterface-dropped " + SystemFiles.text(statistics + "rx_dropped")
        return text + "\n"
    }
}
