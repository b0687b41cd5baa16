import AgentProtocol
import FabricProtocol
import FabricRules
import LinuxCalls
import Wiring

extension Engine {
    /// How long what is under way in an appliance may still leave it after it was taken out.
    private static let drainingNanoseconds: UInt64 = 1_000_000_000
    /// Half a second altogether: who is to be ready was waited for before.
    private static let readerAttempts = 100
    /// For those who wait for their own start.
    private static let fewReaderAttempts = 20
    private static let readerPauseNanoseconds: UInt64 = 5_000_000

    /// The appliances through which traffic of the port goes now.
    func line(of port: FabricPort) -> [InlineAppliance] {
        port.line.filter { !$0.isBypassed && !($0.failsOpen && isFailing($0)) }
    }

    /// Whether nobody reads one of its ends, or it does not let probes through.
    func isFailing(_ appliance: InlineAppliance) -> Bool {
        deadEnds.contains(appliance.inside) || deadEnds.contains(appliance.outside)
            || (appliance.patienceMilliseconds != nil && probes.isPassing(appliance.inside) != true)
    }

    /// Joins the machine's end, the appliances in line and the network's end. What comes out of an appliance through which no traffic goes
    /// yet leads to its neighbours too, so that it may be probed and what is still in it arrives. Those wires come first; when
    /// newcomers are ready the others, in one go, each by the exchange of one filter: every frame takes either the old way
    /// or the new one.
    /// - Parameters:
    ///   - newcomers: the appliances that were not in line before.
    ///   - isStrict: each of them must be ready, or nothing is switched; otherwise it is treated as one that has failed.
    func connect(
        _ port: FabricPort, newcomers: [InlineAppliance] = [], isStrict: Bool = true
    ) throws(FabricFault) {
        let present = try reachable(port.line)
        let active = line(of: port)
        let machine = try prepared(port.tap)
        let network = try prepared(port.wireEnd)
        let mirrors = try prepareMirrors(of: port)
        let aim = Aim(port, active, among: present)
        var (quiet, busy): ([Wire], [Wire]) = ([], [])
        var stations: [UInt32: [UInt8]] = [:]
        var shadows: [UInt32: UInt32] = [:]
        func add(_ from: UInt32, _ to: UInt32, isQuiet: Bool, _ station: [UInt8]? = nil) {
            stations[from] = station
            var wire = Wire(from: from, to: to, copies: from == machine || to == machine ? mirrors : [])
            if let shadow = shadows[to] { wire.copies.append(shadow) }
            if isQuiet { quiet.append(wire) } else { busy.append(wire) }
        }
        var ends: [(inside: UInt32, outside: UInt32)] = []
        for appliance in present {
            let inside = try prepared(FabricPort.tap(appliance.inside))
            ends.append((inside, try prepared(FabricPort.tap(appliance.outside))))
            if let shadow = try prepareShadow(of: appliance, port) {
                shadows[ends[ends.count - 1].inside] = shadow.inside
                shadows[ends[ends.count - 1].outside] = shadow.outside
            }
            if appliance.patienceMilliseconds != nil {
                probes.watch(
                    appliance, ends[ends.count - 1],
                    through: probeRoute(appliance, of: port, probed: passages[port.number]?.probed),
                    isTrusted: !newcomers.contains(appliance))
            }
        }
        func isQuiet(_ place: Int) -> Bool {
            newcomers.contains(present[place]) || !active.contains(present[place])
        }
        var before = machine
        for place in present.indices {
            add(ends[place].inside, before, isQuiet: isQuiet(place), aim?.up(from: place))
            if active.contains(present[place]) { before = ends[place].outside }
        }
        // Next to the network, behind all others.
        let (stretch, isImpaired) = (try stretchEnds(of: port), isImpaired(port))
        var after = network
        if let stretch {
            add(stretch.inside, before, isQuiet: !isImpaired, aim?.up(from: present.count))
            add(stretch.outside, network, isQuiet: !isImpaired, aim?.down(from: present.count - 1))
            if isImpaired { (before, after) = (stretch.outside, stretch.inside) }
        }
        add(network, before, isQuiet: false, aim?.up(from: present.count))
        for place in present.indices.reversed() {
            add(ends[place].outside, after, isQuiet: isQuiet(place), aim?.down(from: place))
            if active.contains(present[place]) { after = ends[place].inside }
        }
        add(machine, after, isQuiet: false, aim?.down(from: -1))
        stops?.reach(.prepared)
        try join(quiet, of: port)
        for (place, appliance) in present.enumerated() {
            if newcomers.contains(appliance) { forgetNeighbours(of: appliance, in: port) }
            try prepareRouting(
                of: appliance, ends[place], port, probed: passages[port.number]?.probed, by: aim, at: place)
        }
        stops?.reach(.joined)
        for (appliance, ends) in zip(present, ends) where newcomers.contains(appliance) {
            if let fault = try fault(of: appliance, ends, of: port, isPatient: isStrict), isStrict { throw fault }
        }
        try beginStretch(of: port, isStrict: isStrict)
        // Some may have failed, and some may not have.
        if line(of: port) != active || self.isImpaired(port) != isImpaired { return try connect(port) }
        stops?.reach(.ready)
        // Between networks nothing may go without an appliance that the networks do not let through.
        let isUsed = !active.isEmpty || isImpaired
        if active.isEmpty {
            if isImpaired {
                try setEntrance(port, isPlain: true)
            } else {
                try steer(port.number, isOn: false)
            }
        }
        try keepFormerWays(busy, besides: quiet, stations, of: port, isUsed: isUsed)
        try join(busy, of: port)
        if !active.isEmpty { try setEntrance(port, isPlain: false) }
        if isUsed {
            if let aim { try self.aim(port.number, down: aim.down(from: -1), up: aim.up(from: present.count)) }
            try steer(port.number, isOn: true)
        }
        if let aim { try turnRouters(present, of: port, by: aim) }
        stops?.reach(.switched)
        joined[port.number] = active.map { $0.inside }
        stretches[port.number]?.isJoined = isImpaired
        let probed = zip(present, ends).filter { $0.0.patienceMilliseconds != nil }
        try passProbes(at: probed.flatMap { [$0.1.inside, $0.1.outside] })
        let used = present.flatMap { $0.ends } + port.mirrors
        draining.removeAll { used.contains($0.end) }
    }

    func passProbes(at ends: [UInt32]) throws(FabricFault) {
        do throws(WireFailure) { try wires.passProbes(at: ends) } catch {
            throw FabricFault("what comes out of appliances cannot be looked at: \(error.cause)")
        }
    }

    func join(_ wires: [Wire], of port: FabricPort) throws(FabricFault) {
        do throws(WireFailure) { try self.wires.connect(wires) } catch {
            throw FabricFault("the wire of port \(port.number) cannot be joined: \(error.cause)")
        }
    }

    func prepared(_ name: String) throws(FabricFault) -> UInt32 {
        do throws(LinuxError) {
            guard let link = try links.find(ByteString(name)) else { throw .noDevice }
            if !link.isUp { try wires.prepare(link.index) }
            return link.index
        } catch {
            throw FabricFault("\(name) cannot be put into a wire: \(error)")
        }
    }

    /// Those of which both ends are there, and those that must not be gone around.
    private func reachable(_ line: [InlineAppliance]) throws(FabricFault) -> [InlineAppliance] {
        var reachable: [InlineAppliance] = []
        for appliance in line where !appliance.isBypassed {
            var isWhole = true
            for end in [appliance.inside, appliance.outside] where try !isThere(end) {
                // Somebody has taken its device away.
                deadEnds.insert(end)
                isWhole = false
            }
            if isWhole || !appliance.failsOpen { reachable.append(appliance) }
        }
        return reachable
    }

    func isThere(_ end: UInt16) throws(FabricFault) -> Bool {
        do throws(LinuxError) { return try links.find(ByteString(FabricPort.tap(end))) != nil } catch {
            throw FabricFault("port \(end) cannot be looked at: \(error)")
        }
    }

    /// Who looks at a wire has nothing to say: what it sends comes back to it.
    private func prepareMirrors(of port: FabricPort) throws(FabricFault) -> [UInt32] {
        var ends: [UInt32] = []
        for number in port.mirrors where try isThere(number) { ends.append(try prepared(FabricPort.tap(number))) }
        try join(ends.map { Wire(from: $0, to: $0) }, of: port)
        return ends
    }

    /// Why an appliance cannot be in line, after waiting until somebody reads both ends and probes go from each to the other.
    private func fault(
        of appliance: InlineAppliance, _ ends: (inside: UInt32, outside: UInt32), of port: FabricPort, isPatient: Bool
    ) throws(FabricFault) -> FabricFault? {
        var unread: UInt16?
        for end in [appliance.inside, appliance.outside] {
            if try hasReader(end, of: port, attempts: isPatient ? Self.readerAttempts : Self.fewReaderAttempts) {
                deadEnds.remove(end)
            } else {
                deadEnds.insert(end)
                unread = end
            }
        }
        if let unread { return Self.unread(unread, appliance.name) }
        guard appliance.patienceMilliseconds != nil else { return nil }
        try passProbes(at: [ends.inside, ends.outside])
        if awaitPassing(appliance.inside, of: port, isPatient: isPatient) { return nil }
        return faultOfProbes(
            appliance, probeRoute(appliance, of: port, probed: passages[port.number]?.probed),
            isPassage: port.joined != nil)
    }

    /// Those who are to look at a wire must read what they get.
    func checkRead(_ lookers: [UInt16], of port: FabricPort) throws(FabricFault) {
        for end in lookers where try !hasReader(end, of: port, attempts: Self.readerAttempts) {
            throw Self.unread(end, Self.looker)
        }
    }

    /// Whether somebody reads the end. One that has just been brought up takes frames a moment later.
    private func hasReader(_ end: UInt16, of port: FabricPort, attempts: Int) throws(FabricFault) -> Bool {
        do throws(LinuxError) {
            for attempt in 1...attempts {
                if try links.find(ByteString(FabricPort.tap(end)))?.hasCarrier == true { return true }
                if attempt == attempts { break }
                sleep(nanoseconds: Self.readerPauseNanoseconds)
                _ = probe(besides: port.number)
            }
        } catch {
            throw FabricFault("port \(end) cannot be looked at: \(error)")
        }
        return false
    }

    /// Has the ends of appliances that are no longer to be in the port's wire hand over what is under way in them, until a moment
    /// after `wiresAreSwitched`.
    func drain(_ old: FabricPort, besides port: FabricPort?) {
        let stays = port?.line.filter { !$0.isBypassed }.map { $0.inside } ?? []
        let shadows = port?.line.filter { !$0.isBypassed }.flatMap { $0.ends } ?? []
        var ends = old.mirrors.filter { port?.mirrors.contains($0) != true }
        for appliance in old.line where !appliance.isBypassed && !stays.contains(appliance.inside) {
            probes.forget(appliance.inside)
            ends += [appliance.inside, appliance.outside]
        }
        for appliance in old.line where !appliance.isBypassed {
            ends += appliance.ends.dropFirst(2).filter { !shadows.contains($0) }
        }
        for end in ends { draining.append((end, .max)) }
    }

    /// Nothing comes any more to those that drain. The kernel may have taken seconds to switch, with traffic going through
    /// them all the time.
    func wiresAreSwitched() {
        let until = Clock.monotonic.nanoseconds() + Self.drainingNanoseconds
        for place in draining.indices where draining[place].untilNanoseconds == .max {
            draining[place].untilNanoseconds = until
        }
        stretchesAreSwitched(until: until)
    }

    /// Closes the ends that have had their moment. One that cannot be closed is tried again after another moment: until then it hands
    /// over what comes out of its appliance. Nanoseconds until the next one; nil when there is none.
    func closeDrained() -> UInt64? {
        let now = Clock.monotonic.nanoseconds()
        let used = usedEnds(of: plan).union(candidates)
        for place in draining.indices {
            let entry = draining[place]
            // The number may be a machine's own place by now.
            guard entry.untilNanoseconds <= now, !used.contains(entry.end), plan.port(entry.end)?.network == nil
            else { continue }
            endRouting(at: entry.end)
            probes.forget(entry.end)
            do throws(FabricFault) { try close(entry.end) } catch {
                draining[place].untilNanoseconds = now + Self.drainingNanoseconds
                EngineLog.write("\(error); it is tried again")
            }
        }
        draining.removeAll { $0.untilNanoseconds <= now }
        return draining.map { $0.untilNanoseconds }.min().map { $0 - now }
    }

    /// One that is not there, or is closed, is no fault.
    private func close(_ end: UInt16) throws(FabricFault) {
        do throws(LinuxError) {
            guard let link = try links.find(ByteString(FabricPort.tap(end))) else { return }
            do throws(WireFailure) { try wires.disconnect([link.index]) } catch { throw error.cause }
        } catch {
            throw FabricFault("port \(end), an appliance's end, cannot be closed: \(error)")
        }
    }

    /// The ends that are in somebody's wire.
    func usedEnds(of plan: FabricPlan) -> Set<UInt16> {
        var used: Set<UInt16> = []
        for port in plan.ports {
            for appliance in port.line where !appliance.isBypassed { used.formUnion(appliance.ends) }
            used.formUnion(port.mirrors)
        }
        return used
    }

    /// Closes the ends that no wire needs: an engine that was killed may have left them open.
    func closeUnused(_ plan: FabricPlan) throws(FabricFault) {
        let used = usedEnds(of: plan).union(candidates)
        for port in plan.ports where port.network == nil && !used.contains(port.number) {
            endRouting(at: port.number)
            guard let link = try? links.find(ByteString(port.tap)), link.isUp else { continue }
            try close(port.number)
        }
    }

    // MARK: Appliances that die

    /// A link of the fabric is not as it was: perhaps the end of an appliance that has lost who reads it, or has somebody
    /// again. What fails open is gone around at once.
    func linkChanged(_ name: ByteString) {
        if name == ByteString(RoutingRules.uplink) { return outletChanged() }
        if let number = FabricPort.number(ofStretchEnd: name.description) { return stretchChanged(number) }
        guard let end = FabricPort.number(ofTap: name.description), let port = plan.port(end), port.network == nil
        else { return }
        // As it is now: what is told may be over. One that is down is in no wire.
        let link = (try? links.find(name)) ?? nil
        let hasCarrier = link?.hasCarrier ?? false
        guard link?.isUp ?? true, deadEnds.contains(end) == hasCarrier else { return }
        if hasCarrier { deadEnds.remove(end) } else { deadEnds.insert(end) }
        for port in plan.ports {
            guard let appliance = port.line.first(where: { $0.inside == end || $0.outside == end }) else { continue }
            // Whoever reads it again has not begun to let frames through.
            if appliance.patienceMilliseconds != nil { probes.fails(appliance.inside) }
            reconnect(port)
        }
    }

    func reconnect(_ port: FabricPort) {
        do throws(FabricFault) { try connect(port) } catch { EngineLog.write(error.description) }
    }

    /// Looks at all ends anew, when it is not known what happened to them.
    func lookAtEnds() {
        guard let all = try? links.list() else { return }
        for link in all { linkChanged(link.name) }
    }
}
