import AgentProtocol
import FabricProtocol
import FabricRules
import LinuxCalls
import WireFormats
import Wiring

extension Engine {
    /// How things are: for each port whether somebody reads it, and for each wire which way it goes and what went over it.
    public func report() throws(FabricFault) -> JSONValue {
        do throws(LinuxError) {
            var names: [UInt32: String] = [:]
            var present: [String: Link] = [:]
            for link in try links.list() {
                names[link.index] = link.name.description
                present[link.name.description] = link
            }
            var ports: [JSONValue] = []
            for port in plan.ports {
                let tap = present[port.tap]
                ports.append(
                    .object([
                        JSONMember("number", .integer(Int64(port.number))),
                        JSONMember("is_there", .boolean(tap != nil)),
                        JSONMember("has_reader", .boolean(tap?.hasCarrier ?? false)),
                    ]))
            }
            var wires: [JSONValue] = []
            let ends = plan.ports.flatMap { port in
                port.network == nil
                    ? [port.tap] : [port.tap, port.wireEnd] + (stretches[port.number] == nil ? [] : port.stretchEnds)
            }
            for connection in try self.wires.connections(of: ends.compactMap { present[$0]?.index }) {
                wires.append(
                    .object([
                        JSONMember("from", .string(names[connection.wire.from] ?? "")),
                        JSONMember("to", .string(names[connection.wire.to] ?? "")),
                        JSONMember("frames", .integer(Int64(clamping: connection.counters.frames))),
                        JSONMember("bytes", .integer(Int64(clamping: connection.counters.bytes))),
                        JSONMember("drops", .integer(Int64(clamping: connection.counters.drops))),
                    ]))
            }
            let appliances = plan.ports.flatMap { port in
                port.line.map { appliance in
                    JSONValue.object([
                        JSONMember("name", .string(appliance.name)),
                        JSONMember("port", .integer(Int64(port.number))),
                        JSONMember("inside", .integer(Int64(appliance.inside))),
                        JSONMember("is_bypassed", .boolean(appliance.isBypassed)),
                        JSONMember("is_routing", .boolean(appliance.routing != nil)),
                        JSONMember("is_failing", .boolean(!appliance.isBypassed && isFailing(appliance))),
                        JSONMember("is_in_line", .boolean(line(of: port).contains(appliance))),
                    ])
                }
            }
            let mirrors = plan.ports.flatMap { port in
                port.mirrors.map { end in
                    JSONValue.object([
                        JSONMember("port", .integer(Int64(port.number))), JSONMember("end", .integer(Int64(end))),
                    ])
                }
            }
            let obstacles = wayOut?.obstacles() ?? []
            let missing = plan.networks.filter { present[$0.bridge] == nil }.map { JSONValue.string($0.name) }
            return .object([
                JSONMember("ports", .array(ports)), JSONMember("wires", .array(wires)),
                JSONMember("appliances", .array(appliances)),
                JSONMember("mirrors", .array(mirrors)), JSONMember("stretches", .array(stretchReports)),
                JSONMember("missing_networks", .array(missing)),
                JSONMember("outside_forbidden_by", .array(obstacles.map { .string($0) })),
                JSONMember("ipv6_forbidden_by", wayOut?.hindranceOfIPv6().map { .string($0) } ?? .null),
            ])
        } catch {
            throw FabricFault("the fabric cannot be looked at: \(error)")
        }
    }
}
