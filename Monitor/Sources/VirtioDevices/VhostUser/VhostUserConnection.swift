import CLinux
import GuestMemory
public import LinuxCalls
import VirtioQueues

/// A connection to a process that serves a drive's queue out of the guest's memory: the front-end's side of vhost-user.
///
/// Of one thread at a time. What is asked of the backend is answered within some seconds, or the connection is of no more use.
/// Trust: its answers are foreign bytes, of a fixed length each, and judged here; descriptors that come with them are dropped.
/// It has the guest's memory, so it is what the guest trusts with its disk. Where that memory lies in this process it is not
/// told: the addresses that it gets are the guest's, moved.
/// Source: QEMU, docs/interop/vhost-user.rst.
public final class VhostUserConnection: @unchecked Sendable {
    private enum Request: UInt32 {
        case getFeatures = 1
        case setFeatures = 2
        case setOwner = 3
        case setMemoryTable = 5
        case setRingSize = 8
        case setRingAddresses = 9
        case setRingBase = 10
        case getRingBase = 11
        case setRingKick = 12
        case setRingCall = 13
        case getProtocolFeatures = 15
        case setProtocolFeatures = 16
        case setRingEnabled = 18
        case getConfiguration = 24
    }

    /// VHOST_USER_F_PROTOCOL_FEATURES, among the device's features.
    private static let protocolFeatures: UInt64 = 1 << 30
    private static let acknowledgements: UInt64 = 1 << 3
    private static let configurations: UInt64 = 1 << 9
    /// What `struct virtio_blk_config` had when backends began to be written; a newer one answers for as much as it is asked.
    static let configurationBytes = 60
    /// Added to the guest's addresses, so that none is zero.
    private static let addressBias: UInt64 = 1 << 40
    private static let headerBytes = 12

    let socket: FileDescriptor
    private let patienceNanoseconds: UInt64
    /// When what is under way must be done.
    private var deadline: UInt64 = 0
    private var acknowledges = false
    /// What the backend offers.
    public private(set) var features: UInt64 = 0
    public var isReadOnly: Bool { features & BlockFeatures.readOnly != 0 }
    /// As long as `configurationBytes`.
    private(set) var configuration: [UInt8] = []

    /// Connects, and agrees on what both can do.
    public convenience init(path: String) throws(VhostUserError) {
        let socket: FileDescriptor
        do throws(LinuxError) { socket = try UnixSocket.connect(path) } catch { throw .unreachable(error) }
        try self.init(socket)
    }

    /// - Parameter patienceMilliseconds: for how long the backend may take over what it is asked at a time.
    public init(
        _ socket: consuming FileDescriptor, patienceMilliseconds: UInt64 = 5000
    ) throws(VhostUserError) {
        self.socket = socket
        patienceNanoseconds = patienceMilliseconds * 1_000_000
        do throws(LinuxError) {
            try setNonBlocking(self.socket.number, false)
            try setTimeouts(self.socket.number, milliseconds: max(patienceMilliseconds / 4, 1))
        } catch { throw .broken(error) }
        begin()
        features = try ask(.getFeatures, answerWords: 1)[0]
        guard features & Self.protocolFeatures != 0 else { throw .lacks(.protocolFeatures) }
        guard features & QueueFeatures.version1 != 0 else { throw .lacks(.version1) }
        try send(.setOwner, [])
        let offered = try ask(.getProtocolFeatures, answerWords: 1)[0]
        guard offered & Self.configurations != 0 else { throw .lacks(.configuration) }
        try send(.setProtocolFeatures, [offered & (Self.configurations | Self.acknowledgements)])
        acknowledges = offered & Self.acknowledgements != 0
        try readConfiguration()
    }

    private func begin() { deadline = Clock.monotonic.nanoseconds() &+ patienceNanoseconds }

    // MARK: What is asked of the backend

    /// Reads the configuration space anew.
    func refresh() throws(VhostUserError) {
        begin()
        try readConfiguration()
    }

    @inline(never)
    private func readConfiguration() throws(VhostUserError) {
        // Offset, length and flags, 32 bits each, and as many bytes as are asked for.
        let length = UInt64(Self.configurationBytes)
        var question = [UInt64](repeating: 0, count: (12 + Self.configurationBytes) / 8)
        question[0] = length << 32
        let answer = try ask(.getConfiguration, question, answerWords: question.count)
        guard answer[0] == question[0] else { throw .malformed }
        var bytes: [UInt8] = []
        for index in 12..<12 + Self.configurationBytes {
            bytes.append(UInt8(truncatingIfNeeded: answer[index / 8] >> UInt64(index % 8 * 8)))
        }
        configuration = bytes
    }

    /// Hands the only queue to the backend, with memory that is shared with it.
    /// - Parameters:
    ///   - layout: which lies in that memory.
    ///   - kick: an eventfd that is raised when there are available buffers.
    ///   - call: one that the backend raises when it has used some.
    func start(
        features: UInt64, _ memory: GuestMemory, _ layout: QueueLayout, kick: Int32, call: Int32
    ) throws(VhostUserError) {
        begin()
        try command(.setFeatures, [features | Self.protocolFeatures])
        var table: [UInt64] = [0]
        let regions = unsafe memory.regions
        for index in unsafe regions.indices {
            // SAFETY: only numbers are taken from the region.
            let region = unsafe regions[index]
            let start = unsafe region.start.value
            unsafe table += [start, region.lengthBytes, start + Self.addressBias, region.fileOffset]
        }
        table[0] = UInt64(table.count / 4)
        try command(.setMemoryTable, table, memory.fileNumber, isTwice: table[0] == 2)
        // The queue's number, which is 0, is in the lower half of each first word.
        try command(.setRingSize, [UInt64(layout.size) << 32])
        try command(.setRingBase, [0])
        let places = [layout.descriptorTable, layout.usedRing, layout.availableRing]
        try command(.setRingAddresses, [0] + places.map { $0.value &+ Self.addressBias } + [0])
        try command(.setRingCall, [0], call)
        try command(.setRingKick, [0], kick)
        try command(.setRingEnabled, [1 << 32])
        // Who does not acknowledge has at least read all that.
        if !acknowledges { _ = try ask(.getFeatures, answerWords: 1) }
    }

    /// Takes the queue back: when this returns, the backend has finished what it had taken from it.
    func stop() throws(VhostUserError) {
        begin()
        _ = try ask(.getRingBase, [0], answerWords: 1)
    }

    // MARK: Messages

    /// A request that has no answer but whether it was done.
    @inline(never)
    private func command(
        _ request: Request, _ words: [UInt64], _ descriptor: Int32? = nil, isTwice: Bool = false
    ) throws(VhostUserError) {
        try send(request, words, descriptor, isTwice: isTwice, needsReply: acknowledges)
        guard acknowledges else { return }
        if try receive(request, answerWords: 1)[0] != 0 { throw .refused(request.rawValue) }
    }

    @inline(never)
    private func ask(
        _ request: Request, _ words: [UInt64] = [], answerWords: Int
    ) throws(VhostUserError) -> [UInt64] {
        try send(request, words)
        return try receive(request, answerWords: answerWords)
    }

    @inline(never)
    private func send(
        _ request: Request, _ words: [UInt64], _ descriptor: Int32? = nil, isTwice: Bool = false,
        needsReply: Bool = false
    ) throws(VhostUserError) {
        var message: [UInt8] = []
        func append(_ value: UInt64, _ count: UInt64) {
            for index in 0..<count { message.append(UInt8(truncatingIfNeeded: value >> (8 * index))) }
        }
        append(UInt64(request.rawValue), 4)
        // Version 1; bit 3 asks for an acknowledgement.
        append(needsReply ? 9 : 1, 4)
        append(UInt64(words.count * 8), 4)
        for word in words { append(word, 8) }
        do throws(LinuxError) {
            guard try LinuxCalls.send(message, descriptor, isTwice: isTwice, over: socket.number) == message.count
            else { throw LinuxError.timedOut }
        } catch {
            throw error.number == EAGAIN || error.number == ETIMEDOUT ? .silent : .broken(error)
        }
    }

    @inline(never)
    private func receive(_ request: Request, answerWords: Int) throws(VhostUserError) -> [UInt64] {
        let header = try receive(count: Self.headerBytes)
        // Version 1, and bit 2: an answer.
        guard Self.number(header, 0, 4) == UInt64(request.rawValue), header[4] & 7 == 5,
            Self.number(header, 8, 4) == UInt64(answerWords * 8)
        else { throw .malformed }
        let bytes = try receive(count: answerWords * 8)
        return (0..<answerWords).map { Self.number(bytes, $0 * 8, 8) }
    }

    @inline(never)
    private func receive(count: Int) throws(VhostUserError) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            do throws(LinuxError) {
                let more = try read(socket.number, appendingTo: &bytes, maximumBytes: count - bytes.count)
                if more == 0 { throw LinuxError(EPIPE) }
            } catch {
                if error.number == EPIPE { throw .closed }
                if error.number != EAGAIN { throw .broken(error) }
            }
            if bytes.count < count, Clock.monotonic.nanoseconds() > deadline { throw .silent }
        }
        return bytes
    }

    @inline(never)
    private static func number(_ bytes: [UInt8], _ place: Int, _ count: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in (0..<count).reversed() { value = value << 8 | UInt64(bytes[place + index]) }
        return value
    }
}
