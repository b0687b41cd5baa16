import LinuxCalls

/// Where tests have an engine stand still: at a step of a change of wires, until they let it go on, or kill it.
///
/// Only an engine that finds the folder `stops` beside its plan when it begins looks for anything. It stands still at the step whose name the file
/// `at` in there holds: that becomes `reached`, and the engine goes on when that is gone.
struct EngineStops {
    /// In their order. Documentation/insertion.md tells what is left after each.
    enum Step {
        /// Nothing has been done.
        case asked
        /// The ends are up, and in no wire.
        case prepared
        /// What comes out of a newcomer leads somewhere; nothing leads into it.
        case joined
        /// Newcomers have let probes through.
        case ready
        /// Every frame takes the new way.
        case switched
        /// An engine that begins anew finds it so.
        case written
        /// Whoever has asked knows.
        case answered

        var name: String {
            switch self {
            case .asked: "asked"
            case .prepared: "prepared"
            case .joined: "joined"
            case .ready: "ready"
            case .switched: "switched"
            case .written: "written"
            case .answered: "answered"
            }
        }
    }

    private static let pauseNanoseconds: UInt64 = 5_000_000
    private let at: String
    private let reached: String

    /// Nil for any engine but a test's.
    init?(_ folder: EngineFolder) {
        let path = folder.path + "/stops"
        guard (try? FileTree.facts(Array(path.utf8))) != nil else { return nil }
        (at, reached) = (path + "/at", path + "/reached")
    }

    func reach(_ step: Step) {
        guard let wanted = EngineFolder.read(at, maximumBytes: 64), wanted == Array(step.name.utf8) else { return }
        do throws(LinuxError) { try FileTree.rename(Array(at.utf8), to: Array(reached.utf8)) } catch { return }
        while (try? FileTree.facts(Array(reached.utf8))) != nil { sleep(nanoseconds: Self.pauseNanoseconds) }
    }
}
