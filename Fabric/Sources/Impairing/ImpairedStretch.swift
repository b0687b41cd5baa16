import AgentProtocol
import CLinux
public import FabricProtocol
import LinuxCalls
import Wiring

/// The stretch of a wire that is impaired, as a process: what comes in at either of its two TAP devices waits as it is to, and goes out at
/// the other. In the fabric's network namespace, with one thread.
///
/// It carries what goes by and looks at nothing of it. It ends when its devices are gone, and outlives the engine that has
/// started it, as the wires do.
public struct ImpairedStretch: ~Copyable {
    private static let calls: [Int32] = [__NR_readv, __NR_writev, __NR_ppoll, __NR_close]
    /// So many are taken from one side before it is the other's turn.
    private static let mostFramesAtOnce = 64

    private let page: StretchPage
    private let machineEnd: FileDescriptor
    private let networkEnd: FileDescriptor
    private var toMachine: WaitingRoom
    private var toNetwork: WaitingRoom

    /// Opens both ends, and gives up every right that is not needed to hand frames on.
    /// - Parameters:
    ///   - path: of the page where the engine says what is to become of frames.
    ///   - port: in whose wire it is.
    public init(_ path: String, port: FabricPort) throws(FabricFault) {
        do throws(LinuxError) { try self.init(page: StretchPage(opening: path), port.stretchEnds) } catch {
            throw FabricFault("the wire of port \(port.number) cannot be impaired: \(error)")
        }
    }

    private init(page: consuming StretchPage, _ names: [String]) throws(LinuxError) {
        let seed = randomBytes(16)
        let toMachine = try WaitingRoom(seed: Self.number(seed[..<8]))
        let toNetwork = try WaitingRoom(seed: Self.number(seed[8...]))
        let machineEnd = try TapDevices.open(ByteString(names[0]))
        let networkEnd = try TapDevices.open(ByteString(names[1]))
        // It is woken when a frame is due, and not up to fifty microseconds later: PR_SET_TIMERSLACK.
        // SAFETY: no address is passed.
        unsafe try systemCall(__NR_prctl, 29, 1)
        try Confinement.enter(Self.calls)
        self.page = page
        self.machineEnd = machineEnd
        self.networkEnd = networkEnd
        self.toMachine = toMachine
        self.toNetwork = toNetwork
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

    /// Until its devices are gone.
    public mutating func run() {
        var change: UInt64?
        while true {
            toMachine.send(to: machineEnd.number)
            toNetwork.send(to: networkEnd.number)
            page.tell(toMachine: toMachine.queue.counts, toNetwork: toNetwork.queue.counts)
            guard let (machine, network) = wait() else { return }
            // Now: the first frame after a change is one of those that it is for.
            if let news = page.news(since: change) {
                change = news.change
                toMachine.queue.set(news.impairment.toMachine)
                toNetwork.queue.set(news.impairment.toNetwork)
            }
            if machine, !toNetwork.take(from: machineEnd.number, atMost: Self.mostFramesAtOnce) { return }
            if network, !toMachine.take(from: networkEnd.number, atMost: Self.mostFramesAtOnce) { return }
        }
    }

    /// Until a frame has come, or one is due to leave.
    /// - Returns: at which ends frames have come; nil when one of them is gone.
    private func wait() -> (machine: Bool, network: Bool)? {
        var pause: UInt64?
        if let due = [toMachine.queue.nextDueNanoseconds, toNetwork.queue.nextDueNanoseconds].compactMap({ $0 }).min() {
            let now = Clock.monotonic.nanoseconds()
            pause = due - min(due, now)
        }
        // struct pollfd: descriptor (4 bytes), events (2): POLLIN, what came (2). struct timespec: seconds, nanoseconds.
        var watched = (
            UInt64(UInt32(bitPattern: machineEnd.number)) | 1 << 32,
            UInt64(UInt32(bitPattern: networkEnd.number)) | 1 << 32
        )
        var time = (Int(truncatingIfNeeded: (pause ?? 0) / 1_000_000_000), Int((pause ?? 0) % 1_000_000_000))
        // SAFETY: the kernel reads and writes the two during the call.
        let result = unsafe withUnsafeMutablePointer(to: &watched) { watched in
            unsafe withUnsafeMutablePointer(to: &time) { time in
                linux_system_call(
                    Int(__NR_ppoll), Int(bitPattern: watched), 2, pause == nil ? 0 : Int(bitPattern: time), 0, 8, 0)
            }
        }
        guard result >= 0 else { return (false, false) }
        let came = (watched.0 >> 48, watched.1 >> 48)
        // POLLERR, POLLHUP, POLLNVAL
        if (came.0 | came.1) & 0x38 != 0 { return nil }
        return (came.0 & 1 != 0, came.1 & 1 != 0)
    }
}

/// The frames of one way.
@safe private struct WaitingRoom: ~Copyable {
    var queue: FrameQueue
    private let room: ByteRoom
    /// What a call reads or writes: an address and a length each.
    private let vectors: ByteRoom

    init(seed: UInt64) throws(LinuxError) {
        let room = try ByteRoom(capacity: FrameQueue.pieces * FrameQueue.pieceBytes)
        let vectors = try ByteRoom(capacity: FrameQueue.mostPiecesOfFrame * 16)
        queue = FrameQueue(seed: seed)
        self.room = room
        self.vectors = vectors
    }

    /// Takes what has come.
    /// - Returns: false when nothing will ever come.
    mutating func take(from device: Int32, atMost most: Int) -> Bool {
        for _ in 0..<most {
            for place in 0..<FrameQueue.mostPiecesOfFrame {
                point(place, to: queue.piece(place), FrameQueue.pieceBytes)
            }
            let count = call(__NR_readv, device, FrameQueue.mostPiecesOfFrame)
            guard count > TapDevices.headerBytes else {
                // EAGAIN, EINTR; a frame without anything in it is none.
                return count >= 0 || count == -Int(EAGAIN) || count == -Int(EINTR)
            }
            // As late as it can have come: none leaves too early.
            queue.take(
                lengthBytes: count, headerBytes: TapDevices.headerBytes, at: Clock.monotonic.nanoseconds())
        }
        return true
    }

    /// Sends what is due.
    mutating func send(to device: Int32) {
        if queue.nextDueNanoseconds == nil { return }
        let now = Clock.monotonic.nanoseconds()
        while let frame = queue.first(dueBy: now) {
            var (piece, place, rest) = (frame.firstPiece, 0, frame.lengthBytes)
            while rest > 0, place < FrameQueue.mostPiecesOfFrame {
                point(place, to: piece, min(rest, FrameQueue.pieceBytes))
                rest -= FrameQueue.pieceBytes
                place += 1
                piece = queue.piece(after: piece)
            }
            for _ in 0..<frame.times {
                // One that the device does not take is gone.
                if call(__NR_writev, device, place) < 0 { queue.noteDropped() }
            }
            queue.removeFirst()
        }
    }

    private func point(_ place: Int, to piece: Int, _ count: Int) {
        // SAFETY: the address is used while both rooms are there, as this is.
        let start = unsafe room.bytes(piece * FrameQueue.pieceBytes, count).baseAddress
        vectors.store(UInt64(UInt(bitPattern: start)), at: place * 16)
        vectors.store(UInt64(count), at: place * 16 + 8)
    }

    /// - Returns: the kernel's own result.
    private func call(_ number: Int32, _ device: Int32, _ count: Int) -> Int {
        // SAFETY: the vectors point into the room, which outlives the call.
        linux_system_call(
            Int(number), Int(device), Int(bitPattern: unsafe vectors.bytes(0, count * 16).baseAddress), count, 0, 0, 0)
    }
}
