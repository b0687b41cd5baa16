import AgentProtocol
import FabricProtocol
import LinuxCalls
import Wiring

extension Engine {
    /// A bridge without ports: what is sent there is gone.
    private static let sink: ByteString = "sink"

    /// The ends of an appliance's shadow, of which nothing gets anywhere; nil where it has none, or that is gone.
    func prepareShadow(
        of appliance: InlineAppliance, _ port: FabricPort
    ) throws(FabricFault) -> (inside: UInt32, outside: UInt32)? {
        guard let shadow = appliance.shadow, try isThere(shadow.inside), try isThere(shadow.outside) else {
            return nil
        }
        let ends = (
            inside: try prepared(FabricPort.tap(shadow.inside)), outside: try prepared(FabricPort.tap(shadow.outside))
        )
        let sink = try prepareSink()
        try join([ends.inside, ends.outside].map { Wire(from: $0, to: sink) }, of: port)
        return ends
    }

    func prepareSink() throws(FabricFault) -> UInt32 {
        do throws(LinuxError) {
            if try links.find(Self.sink) == nil { try links.makeBridge(Self.sink) }
        } catch {
            throw FabricFault("nothing can be made where a shadow's frames end: \(error)")
        }
        let sink = try prepared(Self.sink.description)
        do throws(LinuxError) { try links.set(sink, isUp: true) } catch {
            throw FabricFault("what a shadow sends cannot be led nowhere: \(error)")
        }
        return sink
    }
}
