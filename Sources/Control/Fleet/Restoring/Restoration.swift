/// What `restore` does with a machine.
public enum Restoration: Equatable, Sendable {
    case runs
    /// It comes back; why it was over.
    case begins(reason: String)
    /// It stays as it is, for this reason.
    case stays(reason: String)
}

extension MachineRecord {
    /// By its restart policy, and how it came to its end.
    ///
    /// A machine that somebody has stopped stays stopped, but for `always`, which the next start of this computer brings back:
    /// so container engines have it, whose service starts then.
    func restoration(presentBoot: String?) -> Restoration {
        guard state.isOver else { return .runs }
        let policy = specification.container.restart
        guard policy.when != .no else { return .stays(reason: "it has no restart policy") }
        guard startedSeconds != nil else { return .stays(reason: "its program has never run") }
        if isStopped == true {
            guard policy.when == .always, let bootIdentifier, let presentBoot, bootIdentifier != presentBoot else {
                return .stays(reason: "it was stopped")
            }
            return .begins(reason: "this computer was started anew")
        }
        guard policy.wantsAnother(exitStatus: exitStatus, restarts: restartCount ?? 0) else {
            return .stays(
                reason: exitStatus == 0
                    ? "its program ended well" : "it was run again as often as its policy lets it be")
        }
        return .begins(reason: failure ?? "its program ended with status \(exitStatus ?? 0)")
    }
}
