import HostFiles
import LinuxCalls

/// Where tests have a command stand still that changes what is in a wire, until they let it go on, or kill it. As the engine does:
/// Fabric's `EngineStops`, with the folder that `SWIFTLET_STOPS` names.
enum LineStops {
    private static let folderVariable = "SWIFTLET_STOPS"
    private static let pauseNanoseconds: UInt64 = 5_000_000
    private static let mostNameBytes = 64

    /// In their order. Documentation/insertion.md tells what is left after each.
    enum Step: String {
        /// Nobody else changes wires; nothing has been done.
        case locked
        /// Whoever mends finds what was wanted.
        case written
        /// The engine has done it.
        case answered
    }

    static func reach(_ step: Step) {
        guard let folder = ProductPaths.variable(folderVariable) else { return }
        let (at, reached) = (HostPath(folder).appending("at"), HostPath(folder).appending("reached"))
        guard let wanted = try? at.readWhole(limit: mostNameBytes), wanted.elementsEqual(step.rawValue.utf8),
            (try? at.removeFile()) != nil, (try? reached.replaceQuickly(wanted)) != nil
        else { return }
        while reached.exists { LinuxCalls.sleep(nanoseconds: pauseNanoseconds) }
    }
}
