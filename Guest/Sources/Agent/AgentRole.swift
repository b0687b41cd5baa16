/// What kind of machine the agent serves.
public enum AgentRole: Sendable {
    /// A microVM: its first process, which takes on an image as its root.
    case guest
    /// The emulated host: its first process, which stays in the initramfs.
    case host
    /// Somebody else's machine: nothing is mounted that is not asked for, and power-off ends the agent alone.
    case tool
}
