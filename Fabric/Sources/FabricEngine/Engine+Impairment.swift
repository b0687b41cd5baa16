import AgentProtocol
import ChildPrograms
import FabricProtocol
import Impairing
import LinuxCalls
import WireFormats
import Wiring

/// The stretch of a port's wire that is impaired, as the engine knows it: two TAP devices, and a process that has both open.
final class Stretch {
    let page: StretchPage
    /// Whether what goes over the wire goes through it.
    var isJoined = false
    /// Whether nobody knows yet that its process carries anything.
    var isNew = true
    /// When the last process was started.
    var startedNanoseconds: UInt64?
    /// It is in the wire no more, and is there for what still waits in it: until then at least.
    var endsNanoseconds: UInt64?
    /// For so long a frame may have been told to wait in it, by all that was ever set.
    private var mostWaitingNanoseconds: UInt64 = 0

    init(_ page: consuming StretchPage) { self.page = page }

    /// Of an engine before, which may have set anything.
    convenience init(of page: consuming StretchPage) {
        self.init(page)
        var slowest = Impairment.Way()
        slowest.delayMicroseconds = Impairment.Way.mostDelayMicroseconds
        slowest.jitterMicroseconds = Impairment.Way.mostDelayMicroseconds
        slowest.kilobitsPerSecond = 1
        mostWaitingNanoseconds = FrameQueue.mostWaitingNanoseconds(slowest)
    }

    func set(_ impairment: Impairment) {
        for way in [impairment.toMachine, impairment.toNetwork] {
            mostWaitingNanoseconds = max(mostWaitingNanoseconds, FrameQueue.mostWaitingNanoseconds(way))
        }
        page.set(impairment)
    }

    /// Whether nothing that waits in it can leave any more by itself: whoever has it is stopped, or does not tell the truth.
    /// - Parameter slack: how late a process may be that is not given a processor.
    func isOverdue(at now: UInt64, slack: UInt64) -> Bool {
        guard let end = endsNanoseconds, now > end else { return false }
        return now - end > mostWaitingNanoseconds + slack
    }

    var isEmpty: Bool { page.toMachine.waiting == 0 && page.toNetwork.waiting == 0 }
}

/// The last stretch of a wire, where frames are delayed and lost. To the wire it is an appliance that is next to the network
/// and fails open, with a process of this program behind it.
extension Engine {
    /// One that ends is started again, not more often than this.
    private static let startingPauseNanoseconds: UInt64 = 1_000_000_000
    /// Ten seconds, which an emulated processor that is busy may need, for who is put in by somebody; a tenth of one for those who wait for
    /// their own start.
    private static let openingAttempts = 2000
    private static let fewOpeningAttempts = 20
    private static let openingPauseNanoseconds: UInt64 = 5_000_000
    /// How often one that drains is looked at.
    private static let drainingPauseNanoseconds: UInt64 = 50_000_000
    /// So late may one be that drains.
    private static let drainingSlackNanoseconds: UInt64 = 5_000_000_000
    /// For as long as this process, or that one, is not given a processor.
    private static let queueFrames: UInt32 = 4096

    /// What the port's wire needs for it, made or put right, with nothing led through it yet. What is no longer to be is left for
    /// what waits in it.
    func makeStretch(_ port: FabricPort, maximumTransmissionUnit unit: UInt32) throws(FabricFault) {
        guard let impairment = port.impairment else {
            if let stretch = stretches[port.number], stretch.endsNanoseconds == nil { stretch.endsNanoseconds = .max }
            return
        }
        do throws(LinuxError) {
            let stretch = try stretch(of: port)
            for name in port.stretchEnds {
                if try links.find(ByteString(name)) == nil { try TapDevices.make(ByteString(name), owner: nil) }
                guard let link = try links.find(ByteString(name)) else { throw .noDevice }
                if let file = try? open("/proc/sys/net/ipv6/conf/\(name)/disable_ipv6", .writeOnly) {
                    try writeAll(file.number, "1")
                }
                if link.maximumTransmissionUnit != unit || stretch.isNew {
                    try links.set(link.index, maximumTransmissionUnit: unit, queueFrames: Self.queueFrames)
                }
            }
            stretch.endsNanoseconds = nil
            stretch.set(impairment)
        } catch {
            throw FabricFault("the wire of port \(port.number) cannot be impaired: \(error)")
        }
    }

    /// That of an engine before, where there is one that can be used; its process goes on.
    private func stretch(of port: FabricPort) throws(LinuxError) -> Stretch {
        if let known = stretches[port.number] { return known }
        let stretch: Stretch
        if let page = try? StretchPage(opening: folder.stretchPage(port.number)) {
            stretch = Stretch(of: page)
        } else {
            // Whoever has them open looks at another page, and ends.
            for name in port.stretchEnds { try links.remove(ByteString(name)) }
            stretch = Stretch(try StretchPage(making: folder.stretchPage(port.number)))
        }
        stretches[port.number] = stretch
        return stretch
    }

    /// Both ends, while they are there.
    func stretchEnds(of port: FabricPort) throws(FabricFault) -> (inside: UInt32, outside: UInt32)? {
        guard stretches[port.number] != nil else { return nil }
        var ends: [UInt32] = []
        for name in port.stretchEnds {
            do throws(LinuxError) { if try links.find(ByteString(name)) == nil { return nil } } catch {
                throw FabricFault("\(name) cannot be looked at: \(error)")
            }
            ends.append(try prepared(name))
        }
        return (ends[0], ends[1])
    }

    /// Whether what comes is to go through the port's stretch, and somebody is there who takes it.
    func isImpaired(_ port: FabricPort) -> Bool {
        guard let stretch = stretches[port.number], stretch.endsNanoseconds == nil else { return false }
        return hasProcess(port)
    }

    /// One that ends is not there any more a moment before its devices have nobody.
    private func hasProcess(_ port: FabricPort) -> Bool {
        port.stretchEnds.allSatisfy { ((try? links.find(ByteString($0))) ?? nil)?.hasCarrier == true }
    }

    /// Has a new one begin: its ends are in place, and nothing comes yet.
    /// - Parameter isStrict: it must, or nothing is switched; otherwise it is used when it has.
    func beginStretch(of port: FabricPort, isStrict: Bool) throws(FabricFault) {
        guard let stretch = stretches[port.number], stretch.isNew, stretch.endsNanoseconds == nil else { return }
        for attempt in 0..<(isStrict ? Self.openingAttempts : Self.fewOpeningAttempts) {
            if hasProcess(port) {
                stretch.isNew = false
                return
            }
            if attempt == 0 { try startStretch(of: port) }
            sleep(nanoseconds: Self.openingPauseNanoseconds)
            _ = probe(besides: port.number)
        }
        stretch.isNew = false
        if isStrict {
            throw FabricFault("what is to impair the wire of port \(port.number) does not begin; nothing was switched")
        }
    }

    private func startStretch(of port: FabricPort) throws(FabricFault) {
        guard let stretch = stretches[port.number] else { return }
        stretch.startedNanoseconds = Clock.monotonic.nanoseconds()
        stretch.page.forgetWaiting()
        do throws(LinuxError) {
            _ = try Programs.start(
                [program, "impair", ByteString(folder.path), ByteString(UInt64(port.number))], output: 2)
        } catch {
            throw FabricFault("what is to impair the wire of port \(port.number) cannot be started: \(error)")
        }
    }

    /// An end of it has lost its process, or has one again.
    func stretchChanged(_ number: UInt16) {
        guard let stretch = stretches[number], let port = plan.port(number) else { return }
        if isImpaired(port) != stretch.isJoined { reconnect(port) }
    }

    /// Starts those that have ended, and takes away those through which nothing goes any more.
    /// - Returns: nanoseconds until somebody is to be looked at again; nil when nobody is.
    func lookAfterStretches() -> UInt64? {
        let now = Clock.monotonic.nanoseconds()
        var pauses: [UInt64] = []
        for number in Array(stretches.keys) {
            guard let stretch = stretches[number], let port = plan.port(number) else { continue }
            if let end = stretch.endsNanoseconds {
                if end > now {
                    pauses.append(min(end - now, Self.startingPauseNanoseconds))
                } else if stretch.isEmpty || !hasProcess(port)
                    || stretch.isOverdue(at: now, slack: Self.drainingSlackNanoseconds)
                {
                    removeStretch(of: port)
                } else {
                    pauses.append(Self.drainingPauseNanoseconds)
                }
                continue
            }
            if stretch.isJoined { continue }
            if isImpaired(port) {
                reconnect(port)
            } else if let started = stretch.startedNanoseconds, now < started + Self.startingPauseNanoseconds {
                pauses.append(started + Self.startingPauseNanoseconds - now)
            } else {
                do throws(FabricFault) { try startStretch(of: port) } catch { EngineLog.write(error.description) }
                pauses.append(Self.startingPauseNanoseconds)
            }
        }
        return pauses.min()
    }

    /// Takes it away with its devices, by which its process ends.
    func removeStretch(of port: FabricPort) {
        guard stretches.removeValue(forKey: port.number) != nil else { return }
        for name in port.stretchEnds { try? links.remove(ByteString(name)) }
        try? removeFile(folder.stretchPage(port.number))
    }

    /// Nothing comes any more to those that drain.
    func stretchesAreSwitched(until nanoseconds: UInt64) {
        for stretch in stretches.values {
            if let end = stretch.endsNanoseconds { stretch.endsNanoseconds = min(end, nanoseconds) }
        }
    }

    /// What has become of frames.
    var stretchReports: [JSONValue] {
        stretches.keys.sorted().compactMap { number in
            guard let stretch = stretches[number], stretch.endsNanoseconds == nil else { return nil }
            return .object([
                JSONMember("port", .integer(Int64(number))), JSONMember("is_in_line", .boolean(stretch.isJoined)),
                JSONMember("to_machine", Self.document(stretch.page.toMachine)),
                JSONMember("to_network", Self.document(stretch.page.toNetwork)),
            ])
        }
    }

    private static func document(_ counts: WayCounts) -> JSONValue {
        .object([
            JSONMember("frames", .integer(Int64(clamping: counts.frames))),
            JSONMember("lost", .integer(Int64(clamping: counts.lost))),
            JSONMember("duplicated", .integer(Int64(clamping: counts.duplicated))),
            JSONMember("dropped", .integer(Int64(clamping: counts.dropped))),
            JSONMember("waiting", .integer(Int64(clamping: counts.waiting))),
        ])
    }
}
