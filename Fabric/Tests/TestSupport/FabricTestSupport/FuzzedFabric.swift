import AgentProtocol
import FabricEngine
import FabricProtocol
import FabricRules

/// What a fabric is asked for. Whatever the bytes are, they are taken or refused; what is taken is the same when it is
/// written and read again, leads to the same plan when it is asked for again, and has rules.
public func fuzzFabric(_ input: [UInt8]) {
    // What guests send, as it is compared.
    _ = FrameIdentity(input[...], length: input.count)
    // What programs of the computer say is text of any kind.
    let text = String(decoding: input, as: UTF8.self)
    _ = ForwardingChain.dropping(text)
    _ = RefusedName(line: input)
    if let rule = try? EgressRule(parsing: text) {
        precondition((try? EgressRule(parsing: rule.description)) == rule, "a rule is read as it was written")
    }
    precondition(NameSettings.given(text, keptFor: []).isEmpty, "an address is kept for somebody")
    guard let request = try? FabricRequest(parsing: input) else { return }
    var bytes: [UInt8] = []
    request.document.write(to: &bytes)
    precondition((try? FabricRequest(parsing: bytes)) == request, "a request is read as it was written")
    guard case .change(let change) = request, let plan = try? FabricPlan().after(change) else { return }
    precondition((try? FabricPlan().after(plan.asChange)) == plan, "a plan leads to itself")
    let again = try? plan.after(change)
    precondition(again?.networks.count == plan.networks.count, "a change can be asked for again")
    precondition(again?.ports.count == plan.ports.count, "a change can be asked for again")
    var rules = RoutingRules.text(of: plan.networks) + PortRules.frame
    for network in plan.networks {
        rules += NameSettings.text(of: network, names: "/names", leases: "/leases", given: "/given", pidFile: "/pid")
    }
    rules += PublishingRules.inside(plan.ports)
    rules += PublishingRules.outside(
        plan.ports,
        PublishingRules.Edge(
            device: "up", inner: [IPAddress(v4: 10, 189, 255, 2), IPAddress("fd10:189:255::2")].compactMap { $0 },
            forwardsIPv6: plan.ports.count % 2 == 0))
    for port in plan.ports {
        guard let network = port.network.flatMap(plan.network) else { continue }
        rules +=
            PortRules.text(of: port, in: network) + (NameSettings.names(of: port) ?? "")
            + (NameSettings.lease(of: port) ?? "")
        rules += EgressRules.text(of: port, in: network)
        rules += EgressNames.text(of: network, [port], names: "/names", pidFile: "/pid") ?? ""
        rules += NameSettings.fullNames(of: port, in: network) ?? ""
        guard let view = plan.nameView(of: port) else { continue }
        rules += NameSettings.text(of: view, at: 512, in: plan, names: "/names", pidFile: "/pid")
        rules += NameSettings.names(in: view, of: plan).values.joined()
        let way = NameRules.Way(bridge: network.bridge, hardwareAddress: port.hardwareAddress, server: 512)
        rules += NameRules.frame + NameRules.text(way) + NameRules.removal([way])
    }
    precondition(rules.utf8.allSatisfy { (0x20...0x7e).contains($0) || $0 == 0x0a }, "rules are plain lines")
}
