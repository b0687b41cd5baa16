/// One thing in which two specifications of a machine differ, in words.
public struct SpecificationChange: Codable, Equatable, Sendable {
    public var what: String
    public var from: String
    public var to: String
}

extension MachineSpecification {
    /// In what the machine would differ.
    public func changes(to next: MachineSpecification) -> [SpecificationChange] {
        var changes: [SpecificationChange] = []
        func compare(_ what: String, _ text: (MachineSpecification) -> String) {
            let (from, to) = (text(self), text(next))
            if from != to { changes.append(SpecificationChange(what: what, from: from, to: to)) }
        }
        compare("image") { $0.image }
        compare("digest") { String($0.imageDigest.dropFirst(7).prefix(12)) }
        compare("version") { $0.appliance?.version ?? "" }
        compare("program") { $0.command.joined(separator: " ") }
        compare("user") { $0.user }
        compare("folder") { $0.workingDirectory }
        compare("kernel") { $0.kernel }
        compare("memory") { "\($0.memoryMebibytes) MiB" }
        compare("memory at most") { $0.memoryMaximumMebibytes.map { "\($0) MiB" } ?? "the same" }
        compare("stop signal") { StopSignal.name(of: $0.container.stopSignal) }
        compare("ports") { $0.container.exposedPorts.joined(separator: ", ") }
        compare("folders of the image that are volumes") { $0.container.imageVolumes.joined(separator: ", ") }
        compare("labels") { $0.container.labels.map { "\($0.key)=\($0.value)" }.sorted().joined(separator: ", ") }
        compare("health check") { $0.container.healthCheck?.command.joined(separator: " ") ?? "none" }
        // Their values may be nobody's business.
        let (old, new) = (Set(environment), Set(next.environment))
        let names = old.symmetricDifference(new).map { String($0.prefix { $0 != "=" }) }
        if !names.isEmpty {
            changes.append(
                SpecificationChange(what: "variables", from: "", to: Set(names).sorted().joined(separator: ", ")))
        }
        return changes
    }
}
