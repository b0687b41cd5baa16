import Appliances
import Fleet

extension ApplianceDescription {
    /// What `--network` asks for, with the names that the appliance has for its interfaces.
    ///
    /// One that is given no name takes the next of the appliance's that nobody was given.
    /// - Throws: also when one that the appliance needs is missing.
    func machineInterfaces(_ networks: [String]) throws -> [MachineInterface] {
        var found = try MachineInterface.list(parsing: networks)
        var free = interfaces.map(\.name).filter { name in !found.contains { $0.name == name } }
        var names: Set<String> = []
        for index in found.indices {
            if found[index].name == nil, !free.isEmpty {
                let name = free.removeFirst()
                // The kernel's own name for it needs no giving.
                if name != "eth\(index)" { found[index] = try found[index].named(name) }
            }
            let name = found[index].name ?? "eth\(index)"
            names.insert(name)
            if interfaces.contains(where: { $0.name == name && $0.isAddressedByProgram }) {
                found[index].isLeftToProgram = true
            }
        }
        try checkInterfaces(names) { "give one for each: --network tap:NAME,address=none,name=\($0)" }
        return found
    }
}
