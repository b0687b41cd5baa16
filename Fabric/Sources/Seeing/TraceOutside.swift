import AgentProtocol
import FabricProtocol
import LinuxCalls
public import Packets
import WireFormats
import Wiring

/// What is seen of a traced packet on the computer that the fabric is in: where it would send it on, and over which of its links it goes.
public final class TraceOutside {
    let frames: CaptureSocket
    let links: [UInt32: ByteString]
    /// How the computer sends on what is for the packet's destination.
    let way: Result<RouteAnswer, LinuxError>
    /// Of what the computer itself is to send; nil where it is a machine.
    private let sender: PacketSender?

    /// Looks at every link of the network namespace that the thread is in. Nil where nothing can be seen there.
    public init?(of packet: TracePacket) {
        do throws(LinuxError) {
            var all = try Links()
            var names: [UInt32: ByteString] = [:]
            for link in try all.list() { names[link.index] = link.name }
            links = names
            do throws(LinuxError) { way = .success(try all.way(to: packet.request.destination)) } catch {
                way = .failure(error)
            }
            frames = try CaptureSocket(
                link: 0, program: packet.program(bytes: Trace.keptBytes), bufferBytes: Trace.bufferBytes,
                seesAll: false)
            sender = packet.request.port == nil ? try PacketSender(to: packet.request.destination) : nil
        } catch { return nil }
    }

    /// Whether the computer has the packet's destination itself, so that nothing that it sends leaves it.
    var isOwn: Bool {
        if case .success(let way) = way { return way.isOwn }
        return false
    }

    func send(_ packet: TracePacket) throws(LinuxError) { try sender?.send(packet.packet) }

    /// For whoever asks for it.
    var document: JSONValue {
        switch way {
        case .failure(let error):
            // ENETUNREACH, EHOSTUNREACH
            let words = [101, 113].contains(error.number) ? "network is unreachable" : error.description
            return .object([JSONMember("error", .string(words))])
        case .success(let way):
            var members = [JSONMember("device", .string((links[way.link] ?? "").description))]
            if let gateway = way.gateway { members.append(JSONMember("gateway", .string(gateway.description))) }
            if way.isOwn { members.append(JSONMember("is_own", .boolean(true))) }
            return .object(members)
        }
    }
}
