import AgentClient
import AgentProtocol
import FabricProtocol
import HostFiles
import LinuxCalls
import Networks
import WireFormats

/// The fabric of all machines of this user, where monitors run: its engine is started when it is first needed.
struct FabricControl {
    private static let attempts = 3
    let launcher: any MonitorLauncher
    let store: MachineStore
    /// What a machine that goes on from elsewhere had attached there.
    var restored: (machine: String, attachments: [DeviceAttachment])?

    /// Inside the emulated host it is the host's own; everything in it goes with that.
    private var folder: String { launcher.isEmulated ? "/run/swiftlet/networks" : store.paths.runtime + "/networks" }

    /// Where requests are written down for it: the emulated host sees this computer's files, and has a `/run` of its own.
    private var requestFolder: HostPath { HostPath(launcher.isEmulated ? store.paths.data : store.paths.runtime) }
    private static let requestPrefix = ".network-"

    /// What is put before a program's arguments so that it runs in the fabric's network namespace.
    var entrance: [String] { [store.paths.fabric, "enter", folder] }

    /// Has the appliances that a change would put into wires be made ready for it, and waits until they are. The change still has to be made.
    /// - Throws: when they are not ready in time, or it is ended by a signal; nothing is changed either way.
    func makeReady(_ change: FabricChange, _ patience: ReadinessPatience) throws(FleetError) {
        _ = try ask(
            .readiness(change, milliseconds: patience.milliseconds), startsEngine: true, signals: patience.signals)
        try Self.checkNotEnded(patience.signals, "while an appliance was waited for")
    }

    private static func checkNotEnded(_ signals: SignalWatcher, _ moment: String) throws(FleetError) {
        guard let signal = signals.endSignal() else { return }
        throw FleetError(.interrupted, "ended by signal \(signal) \(moment); nothing was switched", signal: signal)
    }

    /// Plugs a machine in. Networks that the fabric does not have are made.
    func connect(_ record: MachineRecord) throws(FleetError) {
        try store.checkPublished(record.specification.published, besides: record.id)
        do throws(FleetError) { try plugAsWritten(record) } catch {
            // Perhaps by what a machine that was killed has left.
            guard (try? repair()) != nil else { throw error }
        }
        do throws(FleetError) {
            if !record.specification.published.isEmpty { stopStrayForwards() }
            try forward(record.specification.published)
        } catch {
            disconnect(record)
            throw error
        }
    }

    /// Makes the ports of a machine what they are written down to be. Nobody may put an appliance into its wire meanwhile, and a repair
    /// that has counted the machines before would take away what is new.
    func plugAsWritten(_ record: MachineRecord) throws(FleetError) {
        try store.withNetworkLock(isExclusive: false) { () throws(FleetError) in
            try plug(record, try store.line(of: record))
        }
    }

    /// Makes the ports of a machine, or what is in their wires, what they are to be.
    /// - Parameter removedPorts: what is no longer needed with it.
    func plug(_ record: MachineRecord, _ line: MachineLine, removedPorts: [UInt16] = []) throws(FleetError) {
        let change = try self.change(record, line, removedPorts: removedPorts)
        if !change.ports.isEmpty { try carryOut(change, startsEngine: true) }
    }

    /// What `plug` asks for; without a port there is nothing to ask for.
    func change(
        _ record: MachineRecord, _ line: MachineLine, removedPorts: [UInt16]
    ) throws(FleetError) -> FabricChange {
        var change = FabricChange()
        change.ports = try ports(of: record, line)
        if change.ports.isEmpty { return change }
        // What is between its networks may have gone with the last machine there.
        add(try store.passages().all.filter { $0.isNeeded(by: [record], in: store) }, to: &change)
        change.networks = try networks(of: change.ports)
        change.removedPorts = removedPorts
        return change
    }

    /// Has what is between two networks be so. The first appliance there must be ready, as each further one.
    func plug(_ passage: Passage, removedPorts: [UInt16] = [], isFirst: Bool) throws(FleetError) {
        if isFirst {
            var empty = passage
            empty.entries = []
            try carryOut(try change(empty, removedPorts: []), startsEngine: true)
        }
        try carryOut(try change(passage, removedPorts: removedPorts), startsEngine: true)
    }

    /// What `plug` asks for.
    func change(_ passage: Passage, removedPorts: [UInt16]) throws(FleetError) -> FabricChange {
        var change = FabricChange()
        add([passage], to: &change)
        change.networks = try networks(of: change.ports)
        change.removedPorts = removedPorts
        return change
    }

    /// What an appliance and its shadow let through for a time.
    func compare(
        _ entry: LineEntry, milliseconds: UInt64, signals: SignalWatcher
    ) throws(FleetError) -> ShadowReport {
        guard let shadow = entry.shadow, let outside = entry.outside else {
            throw FleetError(.invalidSetting, "\"\(entry.name)\" has no shadow")
        }
        let ends = [entry.inside, outside, shadow.inside, shadow.outside].map { "\($0)" }
        let (isRight, said) = try ask([store.paths.fabric, "compare", folder, "\(milliseconds)"] + ends, signals)
        try Self.checkNotEnded(signals, "while appliances were compared")
        guard isRight, let document = try? JSONParser.parse(Array(said.utf8)) else { throw Self.fault(said) }
        return ShadowReport(document)
    }

    private func add(_ passages: [Passage], to change: inout FabricChange) {
        for port in passages.flatMap(\.ports) {
            change.ports.removeAll { $0.number == port.number }
            change.ports.append(port)
        }
    }

    /// Takes a machine's ports away, and those of ended appliances in its wires; ends that are in the wires of machines that
    /// run stay. A fabric that is not there has none.
    func disconnect(_ record: MachineRecord) {
        var change = FabricChange()
        change.removedPorts = Array(Set((record.interfaces + interfaces(of: record)).compactMap(\.portNumber)))
        if change.removedPorts.isEmpty { return }
        // The owner's record may know less.
        let published = MachineStore.changedPublished(in: store.folder(record.id))
        stopForwarding(published ?? record.specification.published)
        // Whoever puts something into wires meanwhile would find what is about to go.
        try? store.withNetworkLock(isExclusive: false) { () throws(FleetError) in
            let passages = store.readablePassages()
            if !passages.isEmpty || record.interfaces.contains(where: { $0.interface.network == .wire }) {
                let others = store.list().filter { !$0.state.isOver && $0.id != record.id }
                var needed = others.flatMap { store.readableLine(of: $0).entries }.flatMap(\.ends)
                for passage in passages {
                    if passage.isNeeded(by: others, in: store) {
                        needed += passage.entries.flatMap(\.ends)
                    } else {
                        change.removedPorts += [passage.number] + unusedEnds(passage.entries)
                    }
                }
                change.removedPorts.removeAll { needed.contains($0) }
            }
            change.removedPorts += unusedEnds(store.readableLine(of: record).entries)
            try carryOut(change, startsEngine: false)
        }
    }

    /// The ends of such appliances as do not run.
    /// - Parameter others: what stays in wires.
    func unusedEnds(_ entries: [LineEntry], besides others: [LineEntry] = []) -> [UInt16] {
        let needed = others.flatMap(\.ends)
        return unusedEnds(of: entries).filter { !needed.contains($0) }
    }

    private func unusedEnds(of entries: [LineEntry]) -> [UInt16] {
        entries.flatMap(\.holders).filter { holder in
            do throws(FleetError) { return try store.find(holder.machine).state.isOver } catch {
                return error.code == .unknownMachine
            }
        }.flatMap(\.ends)
    }

    /// How things are in the fabric; nil where there is none. An engine that has ended is started, and looks after appliances.
    func report() -> JSONValue? {
        guard let said = try? ask(.report, startsEngine: true) else { return nil }
        return try? JSONParser.parse(Array(said.utf8))
    }

    /// Hands on what goes by at places of the fabric. Whoever had killed its engine finds it well again.
    func capture(_ request: CaptureRequest, signals: SignalWatcher, output: any OutputSink) throws(FleetError) {
        _ = report()
        let isRight = try launcher.stream(
            [store.paths.fabric, "capture", folder] + request.arguments, to: output, signals: signals)
        if !isRight { throw FleetError(.unusableNetwork, "nothing could be captured") }
    }

    /// The connections that the fabric's kernel knows: a line of JSON for each.
    func flows(signals: SignalWatcher) throws(FleetError) -> [ArraySlice<UInt8>] {
        _ = report()
        let output = CollectedOutput()
        guard try launcher.stream([store.paths.fabric, "flows", folder], to: output, signals: signals) else {
            throw Self.fault(output.text(of: .standardError))
        }
        return output.bytes(of: .standardOutput).split(separator: 0x0a)
    }

    /// Has a packet sent and watched: a line of JSON for each thing that is told of it.
    func trace(_ request: TraceRequest, signals: SignalWatcher) throws(FleetError) -> [ArraySlice<UInt8>] {
        _ = report()
        let output = CollectedOutput()
        let arguments = [store.paths.fabric, "trace", folder] + request.arguments
        guard try launcher.stream(arguments, to: output, signals: signals) else {
            throw Self.fault(output.text(of: .standardError))
        }
        return output.bytes(of: .standardOutput).split(separator: 0x0a)
    }

    /// Makes the fabric what the machines that run need, and nothing else. Whoever makes one more machine waits meanwhile.
    /// - Returns: how many wires of machines and networks there are then.
    func repair() throws(FleetError) -> (wires: Int, networks: Int) {
        var counts = (wires: 0, networks: 0)
        try store.withNetworkLock { () throws(FleetError) in
            var change = FabricChange()
            change.isWhole = true
            let running = store.list().filter { !$0.state.isOver }
            for machine in running {
                for port in try ports(of: machine, store.line(of: machine))
                where !change.ports.contains(where: { $0.number == port.number }) { change.ports.append(port) }
            }
            add(try store.passages().all.filter { $0.isNeeded(by: running, in: store) }, to: &change)
            change.networks = try networks(of: change.ports)
            counts = (change.ports.count { $0.joined == nil }, change.networks.count)
            try carryOut(change, startsEngine: true)
        }
        stopStrayForwards()
        removeStrayRequests()
        return counts
    }

    /// Machines that run, and whose monitors have not the ends of wires that there are: these were made anew behind them.
    func machinesCutOff() -> [String] {
        let deaf = (report()?["ports"]?.elements ?? []).filter { $0.boolean("has_reader") == false }
        let numbers = Set(deaf.compactMap { $0.integer("number") })
        return store.list().filter { machine in
            machine.state == .running
                && interfaces(of: machine).contains { $0.portNumber.map { numbers.contains(Int64($0)) } ?? false }
        }.map(\.name)
    }

    /// Removes what commands that were killed have left. None takes this long to be answered.
    private func removeStrayRequests() {
        let latest = Int64(Clock.realTime.nanoseconds() / 1_000_000_000) - 600
        for name in (try? requestFolder.folderNames()) ?? [] {
            let path = requestFolder.appending(String(decoding: name, as: UTF8.self))
            guard name.starts(with: Self.requestPrefix.utf8), let status = try? path.status(),
                status.modifiedSeconds < latest
            else { continue }
            try? path.removeFile()
        }
    }

    /// A fabric that is not there, or does not have the network, is left as it is.
    func remove(network: String) {
        var change = FabricChange()
        change.removedNetworks = [network]
        try? carryOut(change, startsEngine: false)
    }

    /// Those that the ports are in, and those that these are to reach.
    func networks(of ports: [FabricPort]) throws(FleetError) -> [FabricNetwork] {
        try networks(from: Set(ports.compactMap(\.network) + ports.compactMap(\.joined)))
    }

    /// Has the fabric know what a network reaches by now, for whoever holds the networks' lock: in one step.
    func tellReach(of network: String) throws(FleetError) {
        var change = FabricChange()
        change.networks = try networks(from: [network])
        try carryOut(change, startsEngine: true)
    }

    private func networks(from names: Set<String>) throws(FleetError) -> [FabricNetwork] {
        let servers = Self.nameServers()
        var wanted = names
        let records = store.networks.list()
        while true {
            let reached = Set(records.filter { wanted.contains($0.name) }.flatMap(\.reachableNetworks))
            if reached.isSubset(of: wanted) { break }
            wanted.formUnion(reached)
        }
        for name in wanted where !records.contains(where: { $0.name == name }) {
            do throws(NetworkError) { _ = try store.networks.find(name) } catch { throw FleetError(error) }
        }
        return records.filter { wanted.contains($0.name) }.map { $0.fabricNetwork(nameServers: servers) }
    }

    func carryOut(_ change: FabricChange, startsEngine: Bool) throws(FleetError) {
        _ = try ask(.change(change), startsEngine: startsEngine)
    }

    /// - Parameter signals: those that end it, for what may take long.
    /// - Returns: what the engine answered.
    private func ask(
        _ request: FabricRequest, startsEngine: Bool, signals: SignalWatcher? = nil
    ) throws(FleetError) -> String {
        var bytes: [UInt8] = []
        request.document.write(to: &bytes)
        let request = requestFolder.appending("\(Self.requestPrefix)\(UInt32.random(in: .min ... .max))")
        try files { () throws(HostFileError) in try request.replaceQuickly(bytes) }
        defer { try? request.removeFile() }
        var reason = ""
        // An engine whose last port has just gone ends; the next attempt has another one.
        for _ in 0..<Self.attempts {
            if startsEngine {
                let (isRight, said) = try launcher.ask([store.paths.fabric, "start", folder])
                guard isRight else { throw Self.fault(said) }
            }
            let (isRight, said) = try ask([store.paths.fabric, "ask", folder, request.description], signals)
            if isRight || signals?.endSignal() != nil { return said }
            if let refusal = (try? JSONParser.parse(Array(said.utf8)))?.text("error") { throw Self.fault(refusal) }
            reason = said
        }
        throw Self.fault(reason)
    }

    private func ask(
        _ arguments: [String], _ signals: SignalWatcher?
    ) throws(FleetError) -> (isRight: Bool, said: String) {
        guard let signals else { return try launcher.ask(arguments) }
        let output = CollectedOutput()
        let isRight = try launcher.stream(arguments, to: output, signals: signals)
        return (isRight, output.text(of: .standardOutput) + output.text(of: .standardError))
    }

    private static func fault(_ reason: String) -> FleetError {
        let prefix = "swiftlet-fabric: "
        let text = reason.hasPrefix(prefix) ? String(reason.dropFirst(prefix.utf8.count)) : reason
        return FleetError(
            .unusableNetwork, String(text.split(separator: "\n").first ?? "the network fabric gave no answer"))
    }

    /// Whom this computer asks for names, as far as they can be reached from elsewhere.
    private static func nameServers() -> [IPAddress] {
        guard let bytes = try? HostPath("/etc/resolv.conf").readWhole(limit: 64 << 10) else { return [] }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").compactMap { line in
            let words = line.split { $0 == " " || $0 == "\t" }
            guard words.count >= 2, words[0] == "nameserver", let address = IPAddress(String(words[1])) else {
                return nil
            }
            return address.family == .v4 && address.bytes.first != 127 ? address : nil
        }
    }
}

extension FabricPort {
    /// An end for wires: who is behind it sends from whichever station it likes.
    static func end(_ number: UInt16) -> FabricPort {
        FabricPort(number: number, network: nil, hardwareAddress: [2, 0, 0, 0, 0, 0])
    }
}

extension MachineRecord {
    /// Where its interfaces are plugged in.
    /// - Parameters:
    ///   - line: what is in its wires, the ends of which come first.
    ///   - interfaces: those that are plugged in.
    func fabricPorts(_ line: MachineLine, of interfaces: [AssignedInterface]) throws(FleetError) -> [FabricPort] {
        var ports = line.entries.flatMap(\.ends).map { FabricPort.end($0) }
        let networks = Self.nameNetworks(of: interfaces)
        for interface in interfaces {
            guard let number = interface.portNumber else { continue }
            guard case .fabric(let network, let addresses) = interface.interface.network else {
                ports.append(.end(number))
                continue
            }
            guard let hardwareAddress = HardwareAddress.bytes(interface.hardwareAddress) else {
                throw FleetError(.damagedRecord, "\(interface.hardwareAddress) is no station's address")
            }
            let entries = line.entries(interface)
            var port = FabricPort(
                number: number, network: network, hardwareAddress: hardwareAddress,
                addresses: addresses.compactMap { IPAddress($0.address) }, names: networkNames,
                line: entries.compactMap(\.inline), mirrors: entries.filter { $0.outside == nil }.map(\.inside))
            if networks.count > 1 { port.nameNetworks = networks }
            port.impairment = line.impairment(interface)?.impairment
            ports.append(port)
        }
        return ports
    }

    /// Whose names it finds, the nearest first: in the order in which it has its interfaces.
    private static func nameNetworks(of interfaces: [AssignedInterface]) -> [String] {
        var networks: [String] = []
        for interface in interfaces where interface.portNumber != nil {
            if let name = interface.interface.network.fabricNetwork, !networks.contains(name) { networks.append(name) }
        }
        return networks
    }

    /// What it is called in its networks: its name and its host name, as far as these can be names there.
    private var networkNames: [String] {
        var names: [String] = []
        for name in [self.name, specification.hostName].compactMap({ $0?.lowercased() })
        where FabricPort.isName(name) && !names.contains(name) { names.append(name) }
        return names
    }
}
