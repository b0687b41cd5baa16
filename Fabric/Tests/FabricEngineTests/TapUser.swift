import AgentProtocol
import CLinux
import FabricProtocol
import Glibc
import LinuxCalls
import Synchronization

/// Who has a TAP device of the fabric open, as a machine's monitor has: frames behind a header of ten bytes that says nothing.
final class TapUser: Sendable {
    static let headerBytes = 10
    private static let mostBytes = 2048
    let descriptor: FileDescriptor

    convenience init(_ port: UInt16) throws(LinuxError) { try self.init(named: FabricPort.tap(port)) }

    init(named name: String) throws(LinuxError) {
        descriptor = try LinuxCalls.open("/dev/net/tun", [.readWrite, .nonBlocking])
        var request = linux_interface_request()
        // IFF_TAP, IFF_NO_PI, IFF_VNET_HDR
        request.flags = Int16(bitPattern: 0x0002 | 0x1000 | 0x4000)
        let number = descriptor.number
        // SAFETY: the name is short, and the structure is zeroes behind it; the kernel reads it during the call.
        unsafe try withUnsafeMutableBytes(of: &request) { bytes throws(LinuxError) in
            unsafe bytes.copyBytes(from: ByteString(name).bytes)
            let result = linux_system_call(
                Int(__NR_ioctl), Int(number), Int(linux_TUNSETIFF), Int(bitPattern: bytes.baseAddress), 0, 0, 0)
            if result < 0 { throw LinuxError(Int32(-result)) }
        }
    }

    /// The next frame with its header; nil when there is none.
    func next() -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: Self.mostBytes)
        let count = unsafe Glibc.read(descriptor.number, &bytes, bytes.count)
        return count > 0 ? Array(bytes[..<count]) : nil
    }

    @discardableResult
    func send(_ frame: [UInt8]) -> Bool { unsafe Glibc.write(descriptor.number, frame, frame.count) == frame.count }
}

/// An appliance that carries frames from one of its ends to the other, for as long as it is told to.
final class Carrier: Sendable {
    private let isOpen = Atomic<Bool>(true)
    private let isEnded = Atomic<Bool>(false)
    private let isGone = Atomic<Bool>(false)
    private let count = Atomic<Int>(0)
    /// How long a frame is under way in it.
    private let delayNanoseconds: UInt64
    /// Of one that routes.
    private let router: RoutedPackets?

    /// What it has carried so far.
    var carried: Int { count.load(ordering: .acquiring) }

    init(
        _ inside: UInt16, _ outside: UInt16, isDeaf: Bool = false, delayMilliseconds: UInt64 = 0,
        routing router: RoutedPackets? = nil
    ) throws {
        delayNanoseconds = delayMilliseconds * 1_000_000
        self.router = router
        isOpen.store(!isDeaf, ordering: .releasing)
        let (inner, outer) = (try TapUser(inside), try TapUser(outside))
        try startThread { [self] in
            carry(inner, outer)
            // The devices have nobody from here on.
            isGone.store(true, ordering: .releasing)
        }
    }

    private func carry(_ inner: TapUser, _ outer: TapUser) {
        var held: [(due: UInt64, frame: [UInt8], to: TapUser)] = []
        while !isEnded.load(ordering: .acquiring) {
            var entries = [inner, outer].map { pollfd(fd: $0.descriptor.number, events: Int16(POLLIN), revents: 0) }
            _ = unsafe poll(&entries, 2, held.isEmpty ? 20 : 1)
            let now = Clock.monotonic.nanoseconds()
            for (from, to) in [(inner, outer), (outer, inner)] {
                while let arrived = from.next() {
                    guard isOpen.load(ordering: .acquiring) else { continue }
                    guard let router else {
                        held.append((now + delayNanoseconds, arrived, to))
                        continue
                    }
                    if let frame = router.handedOn(arrived, isOutward: from === inner) {
                        held.append((now + delayNanoseconds, frame, to))
                    }
                }
            }
            let due = held.prefix { $0.due <= now }
            for entry in due { entry.to.send(entry.frame) }
            held.removeFirst(due.count)
            count.add(due.count, ordering: .releasing)
        }
    }

    /// It goes on reading, and lets nothing through.
    func hang() { isOpen.store(false, ordering: .releasing) }
    func carryOn() { isOpen.store(true, ordering: .releasing) }

    func end() {
        isEnded.store(true, ordering: .releasing)
        while !isGone.load(ordering: .acquiring) { usleep(500) }
    }
}

/// A steady flow of numbered packets from one machine to another.
final class NumberedFlow: Sendable {
    struct Result {
        var sent = 0
        var missing = 0
        var doubled = 0
        /// Packets that came after one that was sent later.
        var overtaken = 0
        var longestGapMicroseconds: UInt64 = 0
    }

    private let packetsPerSecond: UInt64
    /// Devices that have just been opened take frames a moment later: whether the first has arrived, which does not count.
    private let isThrough = Atomic<Bool>(false)
    private let isEnding = Atomic<Bool>(false)
    private let sent = Atomic<Int>(0)
    private let isSent = Atomic<Bool>(false)
    private let longestGap = Atomic<UInt64>(0)
    private let lastArrival = Atomic<UInt64>(0)
    private let shortestDelay = Atomic<UInt64>(UInt64(UInt32.max) * 1000)
    private let result = Mutex<Result?>(nil)

    /// What stands before the contents of each.
    private let head: [UInt8]

    /// - Parameter gateway: the station that hands them on, as packets; nil: they are frames from the one to the other.
    init(
        from sender: FabricPort, to receiver: FabricPort, by gateway: [UInt8]? = nil, packetsPerSecond: UInt64
    ) throws {
        self.packetsPerSecond = packetsPerSecond
        let (source, sink) = (try TapUser(sender.number), try TapUser(receiver.number))
        head =
            [UInt8](repeating: 0, count: TapUser.headerBytes) + (gateway ?? receiver.hardwareAddress)
            + sender.hardwareAddress
            + (gateway == nil
                ? Self.type
                : RoutedPackets.head(
                    from: sender.addresses[0], to: receiver.addresses[0], contentsBytes: Self.contentsBytes))
        try startThread { self.send(by: source) }
        try startThread { self.receive(by: sink) }
    }

    /// Contents of frames are of this type: "Local Experimental Ethertype 2" of IEEE 802.
    private static let type: [UInt8] = [0x88, 0xb6]
    static let contentsBytes = 128

    private static let countsNot = Int(UInt32.max)

    private func send(by source: TapUser) {
        while !isThrough.load(ordering: .acquiring), !isEnding.load(ordering: .acquiring) {
            source.send(Self.frame(Self.countsNot, head))
            usleep(5000)
        }
        let begin = Clock.monotonic.nanoseconds()
        var number = 0
        while !isEnding.load(ordering: .acquiring) {
            let due = Int((Clock.monotonic.nanoseconds() - begin) * packetsPerSecond / 1_000_000_000)
            while number < due {
                if !source.send(Self.frame(number, head)) { break }
                number += 1
            }
            usleep(50)
        }
        sent.store(number, ordering: .releasing)
        isSent.store(true, ordering: .releasing)
    }

    private static func frame(_ number: Int, _ head: [UInt8]) -> [UInt8] {
        head + bytes(UInt64(number)) + bytes(Clock.monotonic.nanoseconds())
            + [UInt8](repeating: 0, count: contentsBytes - 16)
    }

    private static func bytes(_ number: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private func receive(by sink: TapUser) {
        var result = Result()
        var seen: [Bool] = []
        var highest = -1
        lastArrival.store(Clock.monotonic.nanoseconds(), ordering: .releasing)
        while true {
            var entry = pollfd(fd: sink.descriptor.number, events: Int16(POLLIN), revents: 0)
            // What is under way in an appliance arrives within that.
            if unsafe poll(&entry, 1, 500) == 0, isSent.load(ordering: .acquiring) { break }
            while let frame = sink.next() {
                let (place, type) = (head.count, TapUser.headerBytes + 12)
                guard frame.count == place + Self.contentsBytes, frame[type..<(type + 2)] == head[type..<(type + 2)]
                else { continue }
                let now = Clock.monotonic.nanoseconds()
                let number = Int(Self.number(frame[place..<(place + 8)]))
                let delay = now - Self.number(frame[(place + 8)..<(place + 16)])
                if delay < shortestDelay.load(ordering: .acquiring) { shortestDelay.store(delay, ordering: .releasing) }
                if number == Self.countsNot {
                    isThrough.store(true, ordering: .releasing)
                    continue
                }
                while seen.count <= number { seen.append(false) }
                if seen[number] { result.doubled += 1 }
                seen[number] = true
                if number < highest { result.overtaken += 1 }
                highest = max(highest, number)
                let gap = now - lastArrival.exchange(now, ordering: .acquiringAndReleasing)
                if gap > longestGap.load(ordering: .acquiring) { longestGap.store(gap, ordering: .releasing) }
            }
        }
        result.sent = sent.load(ordering: .acquiring)
        result.missing = result.sent - seen.filter { $0 }.count
        self.result.withLock { $0 = result }
    }

    /// Microseconds, since the last call.
    func takeLongestGap() -> UInt64 {
        let last = lastArrival.load(ordering: .acquiring)
        let open = Clock.monotonic.nanoseconds() - last
        return max(longestGap.exchange(0, ordering: .acquiringAndReleasing), open) / 1000
    }

    /// How many microseconds a packet was under way at least, since the last call.
    func takeShortestDelay() -> UInt64 {
        shortestDelay.exchange(UInt64(UInt32.max) * 1000, ordering: .acquiringAndReleasing) / 1000
    }

    func end() -> Result {
        isEnding.store(true, ordering: .releasing)
        while true {
            if let result = result.withLock({ $0 }) { return result }
            usleep(1000)
        }
    }
}
