import AgentClient
import HostFiles

extension MachineRemote {
    private static let resolver = "resolv.conf"

    /// Has a guest that asks nobody for names ask those of the network into which it has come, as it will when it begins again. One
    /// whose files cannot be written asks nobody until then.
    func tellNames(_ attachment: DeviceAttachment, besides before: [DeviceAttachment]) {
        guard let interface = attachment.assignedInterface, let network = interface.interface.network.fabricNetwork,
            record.nameServers.isEmpty, !before.contains(where: \.isInFabric)
        else { return }
        var lines = interface.gateways.map { "nameserver \($0)" }
        if lines.isEmpty { return }
        // Of others who lead out the domain is not known.
        if interface.interface.gateways == nil { lines.append("search \(network).internal") }
        let file = store.folder(record.id).appending(Self.resolver)
        defer { try? file.removeFile() }
        do {
            try file.replaceWhole(Array((lines.joined(separator: "\n") + "\n").utf8), mode: 0o644)
            try FileCopy.into(
                try endpoint(), from: file.description, to: "/etc/" + Self.resolver, patience: copyPatience)
        } catch {
            // Its addresses work, and nothing is to be taken back for a name.
        }
    }
}
