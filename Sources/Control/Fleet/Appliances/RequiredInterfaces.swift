public import Appliances

extension ApplianceDescription {
    /// - Parameters:
    ///   - names: of the interfaces that there are, as the guest calls them.
    ///   - wayOut: what to do about one that is missing, told of its name.
    public func checkInterfaces(
        _ names: some Collection<String>, wayOut: (String) -> String
    ) throws(FleetError) {
        let missing = interfaces.filter { $0.isRequired && !names.contains($0.name) }
        guard let first = missing.first else { return }
        let words = missing.map { "\($0.name) (\($0.role))" }.joined(separator: ", ")
        throw FleetError(
            .missingInterface, "\(name) \(version) needs the interface \(words); \(wayOut(first.name))")
    }
}
