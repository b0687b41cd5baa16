import ApplianceSettings
import Fleet

/// Changes settings, and has the machines that run with them take the change.
///
/// With machines there, a change is at first one that must be confirmed: who refuses it, or dies while it is applied, leaves the
/// settings that were there.
struct SettingsApplication {
    let named: NamedSettings
    /// Nil: the change is for good once the machines have taken it.
    var confirmWithinSeconds: UInt64?
    /// A guest asks, and nobody on this side.
    var isForGuest = false
    /// As long as machines may take to say whether they take it.
    private static let trialSeconds: UInt64 = 300

    init(_ named: NamedSettings, confirmWithin: String? = nil) throws {
        self.named = named
        guard let confirmWithin else { return }
        guard let seconds = Units.seconds(confirmWithin), (1...86_400).contains(seconds) else {
            throw CommandFailure(
                "usage.confirm-within", "\"\(confirmWithin)\" is no time from 1s to 24h (--confirm-within)")
        }
        confirmWithinSeconds = UInt64(seconds)
    }

    /// Takes a change back that is still to be confirmed, on the floppy and in the machines that run with it.
    /// - Throws: `settings.not-applied` where a machine could not be told; the floppy is right all the same.
    func takeBack() throws -> SettingsGeneration {
        let after = try named.takeBack()
        var failure: (any Error)?
        for machine in Product.fleet.store.machines(withSettings: named.name).filter({ $0.state == .running }) {
            do { try MachineRemote(machine, store: Product.fleet.store).applySettings() } catch {
                failure = failure ?? error
            }
        }
        guard let failure else { return after }
        throw CommandFailure(
            "settings.not-applied",
            "the settings \(named.name) are those of generation \(after.number) again, but: \(CommandFailure(failure).message)"
        )
    }

    /// - Parameter change: makes the new generation, to be confirmed within that many seconds, and returns it; gets the one that
    ///   counts, nil where none does.
    func run(
        _ change: (_ before: SettingsGeneration?, _ trialSeconds: UInt64?) throws -> SettingsGeneration
    ) throws -> (before: UInt64?, after: SettingsGeneration) {
        let machines = Product.fleet.store.machines(withSettings: named.name).filter { $0.state == .running }
        let before = try? named.current()
        if let deadline = before?.deadlineSeconds {
            let time = Timestamp.text(seconds: Int64(clamping: deadline))
            throw CommandFailure(
                "settings.unconfirmed",
                "the last change of the settings \(named.name) is to be confirmed until \(time), or else goes back; confirm "
                    + "it first: swiftlet settings confirm \(named.name), or take it back: swiftlet settings rollback \(named.name)"
            )
        }
        // Nothing is there to go back to from the first that counts.
        let trial = confirmWithinSeconds ?? (machines.isEmpty || before == nil ? nil : Self.trialSeconds)
        let after = try change(before, trial)
        guard after.number != before?.number else { return (before?.number, after) }
        do {
            for machine in machines { try MachineRemote(machine, store: Product.fleet.store).applySettings() }
        } catch {
            guard let before else { throw error }
            _ = try named.rollback(to: before.number, forGuest: isForGuest)
            for machine in machines { try? MachineRemote(machine, store: Product.fleet.store).applySettings() }
            throw CommandFailure(
                "settings.not-applied", "\(CommandFailure(error).message)\nThe settings \(named.name) are as they were."
            )
        }
        guard trial != nil, confirmWithinSeconds == nil else { return (before?.number, after) }
        return (before?.number, try named.confirm())
    }
}
