import AgentProtocol
import CLinux
public import FabricProtocol
import LinuxCalls
import Packets
import Wiring

/// Writes what goes by at places of the fabric to standard output, in the order of time, until somebody has seen enough.
/// In the fabric's network namespace, with one thread, and every signal blocked.
public final class Capture: EventHandler {
    private enum Token {
        static let signals: UInt32 = 0, timer: UInt32 = 1, output: UInt32 = 2, input: UInt32 = 3, frames: UInt32 = 4
    }
    /// Room in the kernel for each place.
    private static let bufferBytes: Int32 = 8 << 20
    /// Room for what has not been taken by whoever reads.
    private static let mostUnsentBytes = 4 << 20
    /// So much is taken from one place before it is the next one's turn.
    private static let mostFramesAtOnce = 256
    /// As many as a place's room in the kernel holds of small ones.
    private static let mostRoundsAtEnd = 256
    private static let mostPendingAtEnd = 100_000
    /// Between the time that a frame gets and the moment when it can be taken, another processor may need so long.
    private static let slackNanoseconds: UInt64 = 20_000_000
    private static let slackMilliseconds: Int32 = 5
    /// For whoever reads slowly, at the end.
    private static let farewellNanoseconds: UInt64 = 2_000_000_000

    private final class Tap {
        let socket: CaptureSocket
        let arrivesFromIt: Bool
        var isGone = false
        var frames: UInt64 = 0
        var drops: UInt64 = 0

        init(_ socket: consuming CaptureSocket, arrivesFromIt: Bool) {
            self.socket = socket
            self.arrivesFromIt = arrivesFromIt
        }
    }

    private struct Pending {
        let place: Int
        /// In the order of its arrival here.
        let number: UInt64
        let frame: CapturedFrame
    }

    private let request: CaptureRequest
    private let loop: EventLoop
    private let signals: SignalFile
    private let timer: TimerFile
    private var taps: [Tap] = []
    private var room: [UInt8]
    private var pending: [Pending] = []
    private var unsent: [UInt8] = []
    private var sent = 0
    private var count: UInt64 = 0
    private var arrivals: UInt64 = 0
    private let begin = Clock.realTime.nanoseconds()
    private var isEnding = false
    /// Whoever read it has gone.
    private var isDeaf = false

    /// The numbers of the system calls that it makes once it is open.
    static let calls: [Int32] = [
        __NR_read, __NR_write, __NR_recvmsg, __NR_getsockopt, __NR_epoll_pwait, __NR_epoll_ctl, __NR_nanosleep,
        __NR_close, __NR_futex, __NR_getrandom, __NR_gettid,
    ]

    /// Opens every place, and gives up every right that is not needed to write down what goes by.
    public init(_ request: CaptureRequest) throws(FabricFault) {
        self.request = request
        let filter: PacketFilter
        do throws(FilterFault) { filter = try PacketFilter(request.filter) } catch {
            throw FabricFault(error.description)
        }
        room = [UInt8](repeating: 0, count: Int(request.snapshotBytes))
        do throws(LinuxError) {
            loop = try EventLoop()
            signals = try SignalFile(
                SignalSet(SignalNumber.interrupt, SignalNumber.terminate, SignalNumber.hangUp, SignalNumber.quit))
            timer = try TimerFile()
        } catch { throw FabricFault("nothing can be captured: \(error)") }
        try open(filter)
        do throws(LinuxError) {
            try watch()
            try Confinement.enter(Self.calls)
        } catch { throw FabricFault("nothing can be captured: \(error)") }
    }

    private func open(_ filter: PacketFilter) throws(FabricFault) {
        let program = filter.program(bytes: request.snapshotBytes)
        for place in request.places {
            do throws(LinuxError) {
                var links = try Links()
                guard let link = try links.find(ByteString(place.device)) else { throw .noDevice }
                let socket = try CaptureSocket(
                    link: link.index, program: program, bufferBytes: Self.bufferBytes, seesAll: !place.arrivesFromIt)
                taps.append(Tap(socket, arrivesFromIt: place.arrivesFromIt))
            } catch {
                throw FabricFault("\(place.name) cannot be looked at: \(error)")
            }
        }
    }

    private func watch() throws(LinuxError) {
        try? setNonBlocking(1)
        _ = try loop.add(signals.descriptor.number, .readable, handler: self, token: Token.signals)
        _ = try loop.add(timer.descriptor.number, .readable, handler: self, token: Token.timer)
        // Whoever started it has the other ends. A file is never waited for.
        _ = try? loop.add(0, .readable, handler: self, token: Token.input)
        _ = try? loop.add(1, [.error, .edgeTriggered, .writable], handler: self, token: Token.output)
        for tap in taps {
            _ = try loop.add(tap.socket.descriptor.number, .readable, handler: self, token: Token.frames)
        }
        if request.milliseconds > 0 { try timer.arm(firstNanoseconds: request.milliseconds * 1_000_000) }
    }

    // MARK: Life

    /// Until it is told to end, or has what it was to have.
    public func run() {
        if request.form == .pcapng {
            unsent = CaptureFile.head(
                request.places.map { CapturePlace(name: $0.name, description: $0.description) },
                filter: ByteString(request.filter), snapshotBytes: request.snapshotBytes)
        }
        writeToStandardError(
            "capturing at " + request.places.map { $0.name.description }.joined(separator: ", ") + "\n")
        flush()
        while !isEnding, !isDeaf {
            let isFull = unsent.count - sent > Self.mostUnsentBytes
            // Frames that wait would wake it again and again while nobody takes what there is.
            if isFull { sleep(nanoseconds: Self.slackNanoseconds) }
            loop.runOnce(
                timeoutMilliseconds: isFull ? 0 : pending.isEmpty && sent == unsent.count ? -1 : Self.slackMilliseconds)
            if !isFull { emit(upTo: take()) }
            flush()
        }
        finish()
    }

    public func handleEvent(token: UInt32, readiness: Readiness) {
        switch token {
        case Token.signals: while signals.next() != nil { isEnding = true }
        case Token.timer:
            timer.drain()
            isEnding = true
        case Token.input:
            var byte: [UInt8] = [0]
            // Its end is that of whoever wanted this.
            if (try? read(0, over: &byte)) ?? 0 == 0 { isEnding = true }
        case Token.output: if readiness.contains(.error) || readiness.contains(.hangUp) { isDeaf = true }
        default: break
        }
    }

    private func finish() {
        // What the kernel has kept until now, and not what goes on coming.
        for _ in 0..<Self.mostRoundsAtEnd where !isDeaf && pending.count < Self.mostPendingAtEnd {
            let before = arrivals
            _ = take()
            if arrivals == before { break }
        }
        if !isDeaf { emit(upTo: .max) }
        let now = Clock.realTime.nanoseconds()
        for (place, tap) in taps.enumerated() {
            let counts = tap.socket.takeCounts()
            (tap.frames, tap.drops) = (tap.frames + counts.frames, tap.drops + counts.drops)
            if request.form == .pcapng {
                unsent += CaptureFile.statistics(
                    at: place, from: begin, to: now, frames: tap.frames, drops: tap.drops)
            }
        }
        let patience = Clock.monotonic.nanoseconds() + Self.farewellNanoseconds
        flush()
        while sent < unsent.count, !isDeaf, Clock.monotonic.nanoseconds() < patience {
            sleep(nanoseconds: 1_000_000)
            flush()
        }
        var words = ByteString(count) + (count == 1 ? " frame" : " frames")
        for (place, tap) in zip(request.places, taps) where tap.drops > 0 {
            words += ", " + ByteString(tap.drops) + " missed at " + place.name
        }
        writeToStandardError(words.description + "\n")
    }

    // MARK: Frames

    /// Takes what there is, or some of it from everywhere.
    /// - Returns: up to when no more will come.
    private func take() -> UInt64 {
        let now = Clock.realTime.nanoseconds()
        var horizon = isEnding ? UInt64.max : now - Self.slackNanoseconds
        for (place, tap) in taps.enumerated() where !tap.isGone {
            var last: UInt64 = 0
            for round in 0...Self.mostFramesAtOnce {
                if round == Self.mostFramesAtOnce {
                    if !isEnding { horizon = min(horizon, last) }
                    break
                }
                do throws(LinuxError) {
                    guard let frame = try tap.socket.receive(over: &room) else { break }
                    last = frame.nanoseconds
                    arrivals += 1
                    let bytes = frame.bytes.count > room.count ? Array(frame.bytes[..<room.count]) : frame.bytes
                    pending.append(
                        Pending(
                            place: place, number: arrivals,
                            frame: CapturedFrame(
                                nanoseconds: last, isOutgoing: frame.isSent != tap.arrivesFromIt, bytes: bytes,
                                length: frame.length)))
                } catch {
                    // Switched off, it may come back; what is gone is silent.
                    break
                }
            }
        }
        return horizon
    }

    /// What was seen up to then, the earliest first.
    private func emit(upTo horizon: UInt64) {
        if pending.isEmpty { return }
        pending.sort { ($0.frame.nanoseconds, $0.number) < ($1.frame.nanoseconds, $1.number) }
        let ready = pending.firstIndex { $0.frame.nanoseconds > horizon } ?? pending.count
        for one in pending[..<ready] {
            if request.mostFrames > 0, count == request.mostFrames { break }
            count += 1
            switch request.form {
            case .pcapng: unsent += CaptureFile.packet(one.frame, at: one.place)
            case .text: unsent += line(one).bytes
            }
        }
        pending.removeFirst(ready)
        if request.mostFrames > 0, count == request.mostFrames { isEnding = true }
    }

    private func line(_ one: Pending) -> ByteString {
        let seconds = one.frame.nanoseconds / 1_000_000_000
        func digits(_ number: UInt64, _ count: Int) -> ByteString {
            let text = ByteString(number).bytes
            return ByteString([UInt8](repeating: 0x30, count: max(0, count - text.count)) + text)
        }
        let time =
            digits(seconds / 3600 % 24, 2) + ":" + digits(seconds / 60 % 60, 2) + ":" + digits(seconds % 60, 2) + "."
            + digits(one.frame.nanoseconds / 1000 % 1_000_000, 6)
        return time + "  " + request.places[one.place].name + "  " + (one.frame.isOutgoing ? "out" : "in ") + "  "
            + PacketSummary.text(one.frame.bytes, length: one.frame.length) + "\n"
    }

    private func flush() {
        while sent < unsent.count {
            do throws(LinuxError) { sent += try write(1, unsent[sent...]) } catch {
                if error != .tryAgain { isDeaf = true }
                break
            }
        }
        if sent == unsent.count {
            unsent.removeAll(keepingCapacity: true)
            sent = 0
        } else if sent >= Self.mostUnsentBytes {
            // Who reads more slowly than frames come never takes all of it.
            unsent.removeFirst(sent)
            sent = 0
        }
    }
}
