import FabricProtocol
import LinuxCalls
import Wiring

/// Frames that are sent into appliances at one end and are to come out at the other, and what became of them.
struct Probes: ~Copyable {
    /// How things are with one appliance.
    private struct Watched {
        var ends: (inside: UInt32, outside: UInt32)
        /// Of one that routes.
        var route: ProbeRoute?
        var patienceNanoseconds: UInt64
        var isPassing: Bool
        /// When the last probe came out at each end; 0: none has.
        var insideNanoseconds: UInt64 = 0
        var outsideNanoseconds: UInt64 = 0
        /// The older of both at the round before.
        var lastNanoseconds: UInt64 = 0
        /// In how many rounds in a row probes have come out at both ends while it was thought to fail.
        var goodRounds = 0
        var dueNanoseconds: UInt64 = 0

        var periodNanoseconds: UInt64 { patienceNanoseconds / Probes.roundsOfPatience }
    }

    /// So many probes are sent in the time after which an appliance is said to fail.
    private static let roundsOfPatience: UInt64 = 4
    /// One that comes back now and then is not trusted at once.
    private static let wantedGoodRounds = 5
    private static let frameBytes = 60
    /// Whoever floods an end keeps nobody waiting.
    private static let mostTaken = 256

    private let socket: ProbeSocket
    /// Where those of appliances that route arrive; nil where there is none.
    private var routed: RoutedProbes?
    /// Only who has seen a probe can make one; machines on either side of an appliance never do.
    private let token: [UInt8]
    /// By the ports of their inner ends.
    private var watched: [UInt16: Watched] = [:]

    var descriptor: Int32 { socket.descriptor.number }

    init() throws(LinuxError) {
        token = randomBytes(ProbeSocket.tokenBytes)
        socket = try ProbeSocket(token: token)
    }

    /// Has those of appliances that route arrive at a link. Once more is no error.
    mutating func listen(at link: UInt32) throws(LinuxError) {
        if routed?.link != link { routed = try RoutedProbes(token, at: link) }
    }

    /// Where these are to be waited for, too; nil where nobody routes.
    var routedDescriptor: Int32? { routed?.socket.descriptor.number }

    /// Begins to watch an appliance, or goes on.
    /// - Parameters:
    ///   - route: of one that routes.
    ///   - isTrusted: it is thought to carry until it is known better.
    mutating func watch(
        _ appliance: InlineAppliance, _ ends: (inside: UInt32, outside: UInt32), through route: ProbeRoute?,
        isTrusted: Bool
    ) {
        let patience = UInt64(appliance.patienceMilliseconds ?? 0) * 1_000_000
        if let known = watched[appliance.inside], known.ends == ends, known.route == route {
            watched[appliance.inside]?.patienceNanoseconds = patience
            return
        }
        var new = Watched(ends: ends, route: route, patienceNanoseconds: patience, isPassing: isTrusted)
        if isTrusted {
            let now = Clock.monotonic.nanoseconds()
            (new.insideNanoseconds, new.outsideNanoseconds) = (now, now)
        }
        watched[appliance.inside] = new
    }

    mutating func forget(_ inside: UInt16) { watched[inside] = nil }

    /// Whether frames come through; nil for one that is not watched.
    func isPassing(_ inside: UInt16) -> Bool? { watched[inside]?.isPassing }

    /// What was known is so no more.
    mutating func fails(_ inside: UInt16) {
        guard let state = watched[inside] else { return }
        watched[inside] = Watched(
            ends: state.ends, route: state.route, patienceNanoseconds: state.patienceNanoseconds, isPassing: false,
            dueNanoseconds: state.dueNanoseconds)
    }

    /// Sends one in at each end.
    func send(through inside: UInt16) {
        guard let state = watched[inside] else { return }
        for isOutward in [true, false] {
            let frame =
                state.route?.frame(contents(through: inside, isOutward: isOutward), isOutward: isOutward)
                ?? frame(through: inside, isOutward: isOutward)
            try? socket.send(frame, over: isOutward ? state.ends.inside : state.ends.outside)
        }
    }

    /// Takes those that have come out.
    mutating func take(at now: UInt64) {
        takeRouted(at: now)
        for _ in 0..<Self.mostTaken {
            guard let (bytes, link) = socket.receive() else { return }
            let place = 14 + ProbeSocket.tokenBytes
            guard bytes.count > place + 2 else { continue }
            let inside = UInt16(bytes[place]) << 8 | UInt16(bytes[place + 1])
            guard let ends = watched[inside]?.ends else { continue }
            if bytes[place + 2] == 1, link == ends.outside { watched[inside]?.outsideNanoseconds = now }
            if bytes[place + 2] == 0, link == ends.inside { watched[inside]?.insideNanoseconds = now }
        }
    }

    /// The end at which one has come out is known by the network whose address it is sent to.
    private mutating func takeRouted(at now: UInt64) {
        guard let routed else { return }
        for _ in 0..<Self.mostTaken {
            guard let (bytes, _) = routed.socket.receive() else { return }
            guard let place = RoutedProbes.contents(of: bytes).map({ $0 + ProbeSocket.tokenBytes }),
                bytes.count > place + 2
            else { continue }
            let inside = UInt16(bytes[place]) << 8 | UInt16(bytes[place + 1])
            guard watched[inside]?.route != nil else { continue }
            if bytes[place + 2] == 1 { watched[inside]?.outsideNanoseconds = now }
            if bytes[place + 2] == 0 { watched[inside]?.insideNanoseconds = now }
        }
    }

    /// When the appliance is to be judged, and probed again.
    func due(_ inside: UInt16) -> UInt64? { watched[inside]?.dueNanoseconds }

    /// Judges an appliance by what has come out of it, and sends the next ones.
    mutating func round(through inside: UInt16, at now: UInt64) {
        guard var state = watched[inside] else { return }
        let last = min(state.insideNanoseconds, state.outsideNanoseconds)
        let isFresh = last != 0 && now - min(now, last) <= state.patienceNanoseconds
        state.goodRounds = isFresh && last > state.lastNanoseconds ? state.goodRounds + 1 : 0
        state.isPassing = isFresh && (state.isPassing || state.goodRounds >= Self.wantedGoodRounds)
        state.lastNanoseconds = last
        state.dueNanoseconds = now + state.periodNanoseconds
        watched[inside] = state
        send(through: inside)
    }

    /// Whether one of a newcomer's has come out at each end, which is enough.
    mutating func hasBegun(_ inside: UInt16, since start: UInt64) -> Bool {
        guard let state = watched[inside], min(state.insideNanoseconds, state.outsideNanoseconds) >= start else {
            return false
        }
        watched[inside]?.isPassing = true
        return true
    }

    /// For time that this process was not given, nobody else can be blamed.
    mutating func forgive(_ nanoseconds: UInt64, at now: UInt64) {
        for inside in watched.keys {
            guard let state = watched[inside], state.insideNanoseconds != 0, state.outsideNanoseconds != 0 else {
                continue
            }
            watched[inside]?.insideNanoseconds = min(now, state.insideNanoseconds + nanoseconds)
            watched[inside]?.outsideNanoseconds = min(now, state.outsideNanoseconds + nanoseconds)
        }
    }

    /// From a station of its own at one end to one at the other, so that whoever learns stations is not confused.
    private func frame(through inside: UInt16, isOutward: Bool) -> [UInt8] {
        let number = [UInt8(inside >> 8), UInt8(inside & 0xff)]
        let inner: [UInt8] = [0x02, 0x73, 0x77, 0] + number
        let outer: [UInt8] = [0x02, 0x73, 0x77, 1] + number
        var frame = isOutward ? outer + inner : inner + outer
        frame += [UInt8(ProbeSocket.etherType >> 8), UInt8(ProbeSocket.etherType & 0xff)]
        frame += contents(through: inside, isOutward: isOutward)
        return frame + [UInt8](repeating: 0, count: Self.frameBytes - frame.count)
    }

    private func contents(through inside: UInt16, isOutward: Bool) -> [UInt8] {
        token + [UInt8(inside >> 8), UInt8(inside & 0xff), isOutward ? 1 : 0]
    }
}

/// Where probes arrive that have come out of appliances that route.
private final class RoutedProbes {
    let link: UInt32
    let socket: ProbeSocket

    init(_ token: [UInt8], at link: UInt32) throws(LinuxError) {
        self.link = link
        socket = try ProbeSocket(token: token, inDatagramsAt: link)
    }

    /// Where a datagram's contents begin; nil for what is no packet. Options and further headers are looked for by nobody.
    static func contents(of frame: [UInt8]) -> Int? {
        guard frame.count > 14 else { return nil }
        return ProbeSocket.datagramPlaces.first { $0.etherType == UInt16(frame[12]) << 8 | UInt16(frame[13]) }?.place
    }
}
