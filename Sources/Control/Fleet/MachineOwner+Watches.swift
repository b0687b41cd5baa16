import AgentClient
import AgentProtocol
import Glibc
import HostFiles
import LinuxCalls

/// What is noticed while the program runs.
extension MachineOwner {
    /// Writes down what the guest found on its image's disk. A guest may tell as often as it likes: only its first word, and
    /// then each doubling of their number, is worth a write.
    func note(_ damage: DiskDamage) {
        let seconds = Int64(Clock.realTime.nanoseconds() / 1_000_000_000)
        damageCount += 1
        guard damageCount & (damageCount - 1) == 0 else { return }
        try? machine.update { record in
            if record.imageDamage == nil { record.imageDamage = ImageDamage(damage, atSeconds: seconds) }
            record.imageDamage?.count = damageCount
        }
        if damageCount == 1, let damage = machine.record.imageDamage {
            whenDamaged(damage.message(image: specification.image))
        }
    }

    /// Writes down what this computer could not read or write of the machine's disks, the first time for each.
    func note(_ failures: [DiskFailure]) {
        for failure in failures {
            guard machine.record.diskFailures?.contains(where: { $0.drive == failure.drive }) != true else { continue }
            try? machine.update { $0.diskFailures = ($0.diskFailures ?? []) + [failure] }
            whenDamaged(failure.message(image: specification.image))
        }
    }

    /// Begins to ask after the program's health, where that is wanted.
    func watchHealth(at endpoint: any AgentEndpoint) -> HealthWatch? {
        guard let check = specification.container.healthCheck else { return nil }
        let action = specification.container.whenUnhealthy
        // A watch that there is no thread for is missed by who waits for health, and by nobody else.
        return try? HealthWatch(check, of: machine, at: endpoint, whenHealthy: whenHealthy) { [unhealthy] reason in
            guard action != .nothing else { return }
            unhealthy.value = reason
            SignalWatcher.tellOwnProcess(SignalWatcher.stop)
        }
    }

    /// Has the guest go back from settings that nobody confirmed.
    func watchSettings() -> SettingsWatch? {
        guard let floppy = specification.settingsFloppyPath else { return nil }
        let remote = MachineRemote(machine.record, store: machine.store)
        // What the guest says to it changes nothing: those settings have counted before.
        return try? SettingsWatch(floppy) { try? remote.applySettings() }
    }

    /// Does what the guest asks for about its settings.
    func watchProposals() -> ProposalWatch? {
        guard specification.settingsName != nil, let whenSettingsProposed else { return nil }
        let remote = MachineRemote(machine.record, store: machine.store)
        return try? ProposalWatch { whenSettingsProposed(remote) }
    }
}
