public import FabricProtocol
import Wiring

/// What leads out of a fabric.
public protocol Outlet: AnyObject {
    /// Makes what is missing of it.
    /// - Parameters:
    ///   - inside: the fabric's links.
    ///   - ports: those that have ports of the computer.
    func repair(inside: inout Links, publishing ports: [FabricPort]) throws(FabricFault)
    /// Whether its link in the fabric was made anew by somebody else, and is to be made usable.
    func isNew(inside: inout Links) -> Bool
    /// Takes what it has left outside away.
    func remove()
    /// What keeps it from leading out, for people.
    func obstacles() -> [String]
    /// What keeps IPv6 from leading out, the computer's switch or a sentence for people; nil: nothing does, or nothing could be done about it.
    func hindranceOfIPv6() -> String?
}

/// Has ports of the computer lead into a fabric.
protocol PortPublisher: AnyObject {
    /// Takes the ports of a plan that are not held yet.
    /// - Parameter before: what was published before is led on even where somebody else has taken it meanwhile.
    /// - Throws: naming who has one; then none is held that was not before.
    func hold(_ plan: FabricPlan, besides before: FabricPlan) throws(FabricFault)
    /// Lets go of what a plan does not have.
    func letGo(_ plan: FabricPlan)
    func setRules(_ plan: FabricPlan) throws(FabricFault)
    /// Has flows of datagrams go where the rules lead now. What cannot be done is told: rules count for all others.
    /// - Parameter ports: those that have ports of the computer.
    func leadFlows(_ ports: [FabricPort])
}

extension Engine {
    /// The link out has come, or has become another one: what leads out was started again.
    func outletChanged() {
        guard let wayOut, wayOut.isNew(inside: &links) else { return }
        do throws(FabricFault) {
            try wayOut.repair(inside: &links, publishing: plan.ports)
            try publisher?.hold(plan, besides: plan)
        } catch {
            EngineLog.write(error.description)
        }
    }
}
