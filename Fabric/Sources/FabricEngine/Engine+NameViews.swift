import AgentProtocol
import FabricProtocol
import FabricRules
import LinuxCalls
import Wiring

/// Who answers machines that find the names of several networks.
struct NameViews {
    /// The port that each view's listens on.
    var servers: [NameView: UInt16] = [:]
    /// What is in the files of names of each, by the ports of machines.
    var names: [UInt16: [UInt16: String]] = [:]
    /// Where the rules lead the questions of machines, by their ports.
    var ways: [UInt16: NameRules.Way] = [:]
    /// Those who have not been told yet that somebody's name or address is no more.
    var changed: Set<UInt16> = []
    /// Networks whose bridges have been made since they were last looked after.
    var newBridges: Set<String> = []
}

extension Engine {
    /// Has the names of several networks be served to those machines of the plan that are to find them.
    /// - Returns: where the questions of these are to be led, by their ports.
    func serveViews(
        _ next: FabricPlan, _ difference: PlanDifference, from before: FabricPlan, isRepair: Bool
    ) throws(FabricFault) -> [UInt16: NameRules.Way] {
        var ways: [UInt16: NameRules.Way] = [:]
        var views: [NameView] = []
        for port in next.ports where !port.nameNetworks.isEmpty {
            guard let view = next.nameView(of: port), let network = port.network.flatMap(next.network) else { continue }
            let server = try server(of: view)
            ways[port.number] = NameRules.Way(
                bridge: network.bridge, hardwareAddress: port.hardwareAddress, server: server)
            if !views.contains(view) { views.append(view) }
        }
        var touched = Set(difference.networks.map { $0.name })
        for port in difference.ports + difference.gonePorts { if let name = port.network { touched.insert(name) } }
        for view in views {
            let seen = view.networks + next.namesReached(from: view.networks)
            guard let server = nameViews.servers[view], isRepair || !touched.isDisjoint(with: seen) else { continue }
            let isNew = nameViews.names[server] == nil
            try setNames(in: view, server, of: next)
            try serve(view, server, in: next)
            // Somebody who asks another one by now is not to ask nobody.
            let isAwaited = difference.ports.contains { before.port($0.number) != nil && next.nameView(of: $0) == view }
            if isNew, !isRepair, isAwaited { NameServers.awaitReady(folder.viewNames(server)) }
        }
        nameViews.newBridges = []
        return ways
    }

    private func server(of view: NameView) throws(FabricFault) -> UInt16 {
        if let server = nameViews.servers[view] { return server }
        let taken = Set(nameViews.servers.values)
        guard let free = NameRules.ports.first(where: { !taken.contains($0) }) else {
            throw FabricFault("nobody is left to answer for the names of one more set of networks")
        }
        nameViews.servers[view] = free
        return free
    }

    private func setNames(in view: NameView, _ server: UInt16, of plan: FabricPlan) throws(FabricFault) {
        let files = folder.viewNames(server)
        for path in [files.path, files.names] { try EngineFolder.make(path) }
        let names = NameSettings.names(in: view, of: plan)
        // What one before has left is another's.
        let known = nameViews.names[server]
        for number in known.map({ Array($0.keys) }) ?? files.named where names[number] == nil {
            if try Self.replace(files.name(number), nil, files) { nameViews.changed.insert(server) }
        }
        for (number, text) in names where known?[number] != text {
            if try Self.replace(files.name(number), text, files) { nameViews.changed.insert(server) }
        }
        nameViews.names[server] = names
    }

    private func serve(_ view: NameView, _ server: UInt16, in plan: FabricPlan) throws(FabricFault) {
        let files = folder.viewNames(server)
        let settings = NameSettings.text(of: view, at: server, in: plan, names: files.names, pidFile: files.pidFile)
        try viewServers.serve(
            server, by: settings, in: files, isBridgeNew: !nameViews.newBridges.isDisjoint(with: view.networks),
            log: view.isStrict ? refusedNames.writing : 2)
    }

    /// Takes away what leads questions elsewhere than they are to go, and says what leads them there.
    func nameRules(_ ways: [UInt16: NameRules.Way], isRepair: Bool) throws(FabricFault) -> String {
        if isRepair { return NameRules.reset + ways.values.map(NameRules.text).joined() }
        let gone = nameViews.ways.filter { ways[$0.key] != $0.value }
        let new = ways.filter { nameViews.ways[$0.key] != $0.value }
        if !gone.isEmpty {
            do throws(FabricFault) { try setRules(NameRules.removal(Array(gone.values))) } catch {
                throw FabricFault("the rules cannot be set: \(error)")
            }
            for number in gone.keys { nameViews.ways[number] = nil }
        }
        return new.values.map(NameRules.text).joined()
    }

    /// What machines go on to ask from a port that they have asked from before goes where it is to go by now.
    /// - Parameter old: where it went.
    func forgetQuestions(_ old: [UInt16: NameRules.Way], _ next: FabricPlan, _ before: FabricPlan) {
        let ways = nameViews.ways
        var addresses: [IPAddress] = []
        for number in Set(ways.keys).union(old.keys) where ways[number] != old[number] {
            if before.port(number) != nil, let port = next.port(number) { addresses += port.addresses }
        }
        if addresses.isEmpty { return }
        let asked = (try? TrackedConnection.all()) ?? []
        try? TrackedConnection.forget(
            asked.filter { $0.question.destination.port == 53 && addresses.contains($0.question.source.address) })
    }

    /// Ends those whom nobody is led to any more.
    func endUnusedViews(isRepair: Bool) {
        let used = Set(nameViews.ways.values.map { $0.server })
        for (view, server) in nameViews.servers where !used.contains(server) {
            nameViews.servers[view] = nil
            nameViews.names[server] = nil
            nameViews.changed.remove(server)
            viewServers.end(server)
            folder.viewNames(server).remove()
        }
        guard isRepair else { return }
        // What an engine before has left.
        for server in folder.servedViews where !used.contains(server) {
            viewServers.endPredecessor(folder.viewNames(server))
            folder.viewNames(server).remove()
        }
    }

    func viewServerEnded(_ process: Int32) {
        guard let ended = viewServers.ended(process),
            let view = nameViews.servers.first(where: { $0.value == ended.number })?.key
        else { return }
        let names = view.networks.joined(separator: ", ")
        EngineLog.write("the names of \(names) together are \(ended.isWorthwhile ? "served anew" : "not served")")
        guard ended.isWorthwhile else { return }
        do throws(FabricFault) { try serve(view, ended.number, in: plan) } catch { EngineLog.write(error.description) }
    }
}
