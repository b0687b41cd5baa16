public import ApplianceSettings
import Appliances
import GuestKernels
import ImageStore

/// The settings of an appliance, which go with its version: up by the newer schema's steps, and back by them.
struct VersionSettings {
    let fleet: MachineFleet

    private var store: SettingsStore { SettingsStore(root: fleet.store.paths.settings) }

    /// The schema that the machine wants its settings by; nil where it has none.
    private func schema(of specification: MachineSpecification) throws -> SettingsSchema? {
        guard specification.appliance != nil, specification.settingsName != nil else { return nil }
        return try fleet.images.appliance(try fleet.images.resolve(specification.imageDigest)).description.settings
    }

    /// The generation that counts, if the machine has settings.
    func generation(of specification: MachineSpecification) throws -> UInt64? {
        guard specification.appliance != nil, let name = specification.settingsName else { return nil }
        return try store.settings(name).current().number
    }

    /// Whether the settings could become what a version wants, before anything is touched.
    func check(_ record: MachineRecord, for next: MachineSpecification) throws {
        guard let name = next.settingsName, let schema = try schema(of: next) else { return }
        let other = fleet.store.list().first { $0.id != record.id && $0.specification.settingsName == name }
        let current = try store.settings(name).current()
        if let other, current.schema.version != schema.version {
            throw FleetError(
                .invalidSetting,
                "the settings \(name) are those of the machine \"\(other.name)\", too, which would get them in another version; give each machine settings of its own"
            )
        }
        guard current.deadlineSeconds == nil || current.schema.version == schema.version else {
            throw FleetError(
                .invalidSetting,
                "the last change of the settings \(name) is still to be confirmed, and would stay with the other version; confirm it first: swiftlet settings confirm \(name)"
            )
        }
        _ = try store.settings(name).migrated(to: schema)
    }

    /// Whether a machine that is to begin has settings of the version that its appliance wants.
    func checkFit(_ specification: MachineSpecification) throws {
        guard let name = specification.settingsName, let schema = try schema(of: specification) else { return }
        let current = try store.settings(name).current().schema
        guard current.name == schema.name, current.version == schema.version else {
            throw FleetError(
                .invalidSetting,
                "the settings \(name) are for \(current.name), version \(current.version), and \(specification.image) wants those "
                    + "of \(schema.name), version \(schema.version); carry them over: swiftlet settings migrate \(name) --schema "
                    + specification.image)
        }
    }

    /// The machine that would not begin any more if its settings became those of another version, for now it does.
    func dependent(on name: String, leavingFor schema: SettingsSchema) throws -> MachineRecord? {
        let current = try store.settings(name).current().schema
        return fleet.store.list().first { record in
            guard record.specification.settingsName == name,
                let wanted = try? self.schema(of: record.specification)
            else { return false }
            return wanted.version == current.version && wanted.version != schema.version
        }
    }

    /// Makes the settings what a version wants. Done again, it changes nothing.
    /// - Parameter generation: what counted when that version was left, to the letter, if it was one of its own.
    func adopt(_ specification: MachineSpecification, goingBackTo generation: UInt64?) throws {
        guard let name = specification.settingsName, let schema = try schema(of: specification) else { return }
        let settings = try store.settings(name)
        let current = try settings.migrate(to: schema)
        guard let generation, generation != current.number, let before = try? settings.generation(generation),
            before.schema.version == schema.version
        else { return }
        try settings.change { _ in before.settings }
    }
}

extension MachineFleet {
    /// Whether a machine's settings could become what a version of it wants; nothing is changed.
    public func checkSettings(of record: MachineRecord, for next: MachineSpecification) throws {
        try VersionSettings(fleet: self).check(record, for: next)
    }

    /// Whether a machine that is to begin has settings of the version that its appliance wants.
    public func checkSettings(of specification: MachineSpecification) throws {
        try VersionSettings(fleet: self).checkFit(specification)
    }

    /// - Throws: where a machine on record would not begin any more with settings of another version.
    public func checkMayMigrate(_ name: String, to schema: SettingsSchema) throws {
        guard let record = try VersionSettings(fleet: self).dependent(on: name, leavingFor: schema) else { return }
        throw FleetError(
            .invalidSetting,
            "the machine \"\(record.name)\" is made of \(record.specification.image), which wants the settings \(name) as they are; "
                + "its version and they go together: swiftlet update \(record.name) IMAGE")
    }

    /// What an appliance's description says of its machine. What was given more memory than it needs keeps that.
    func take(_ image: StoredImage, _ next: inout MachineSpecification) throws {
        let appliance: StoredAppliance
        do { appliance = try images.appliance(image) } catch let error as ApplianceError
            where error.code == .notAppliance
        {
            guard let present = next.appliance else { return }
            throw FleetError(
                .invalidSetting,
                "the machine is of the appliance \(present.name), and \(next.image) is none; run it as a machine of its own"
            )
        }
        let description = appliance.description
        guard let present = next.appliance, present.name == description.name else {
            throw FleetError(
                .invalidSetting,
                "\(next.image) is the appliance \(description.name), which the machine is not; run it as a machine of its own: swiftlet appliance run"
            )
        }
        guard description.architecture == ImportSettings.hostArchitecture else {
            throw FleetError(
                .invalidSetting,
                "\(next.image) is for \(description.architecture), and this computer is \(ImportSettings.hostArchitecture)"
            )
        }
        guard description.settings == nil || next.settingsName != nil else {
            throw FleetError(
                .invalidSetting,
                "\(next.image) takes settings, and the machine has none; run it as a machine of its own: swiftlet appliance run"
            )
        }
        let names = next.interfaces.enumerated().map { place, interface in interface.name ?? "eth\(place)" }
        try description.checkInterfaces(names) { _ in
            "a machine keeps its interfaces, so run it as one of its own: swiftlet appliance run"
        }
        next.memoryMebibytes = max(next.memoryMebibytes, description.leastMemoryMebibytes)
        if let kernel = appliance.kernelPath {
            next.kernel = "\(description.name) \(description.version)"
            next.kernelPath = kernel
            next.kernelArguments = description.kernelArguments
            next.modulesPath = nil
        } else if !next.kernelPath.hasPrefix(store.paths.kernels + "/") {
            // It had the kernel of the version before.
            let kernel = try KernelStore(root: store.paths.kernels).resolve(nil)
            next.kernel = "\(kernel.name) \(kernel.version)"
            next.kernelPath = kernel.path
            next.kernelArguments = kernel.arguments
            next.modulesPath = kernel.modulesPath
        }
        next.appliance = MachineAppliance(
            name: description.name, version: "\(description.version)",
            manifestDigest: image.manifest.map { "\($0)" } ?? "",
            descriptionDigest: "\(appliance.manifest.description.digest)", apply: description.apply,
            commitsSettings: description.commitsSettings)
    }
}
