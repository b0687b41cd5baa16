/// What the monitor's programs are, and what they pass for.
public enum Identity {
    public static let version = "0.1.0"
    /// Of Firecracker: whose API and command lines are understood.
    public static let firecrackerVersion = "1.12.1"

    /// Whether a program's name says that it is Firecracker, as the original's jailer wants it.
    public static func isFirecracker(_ programName: [UInt8]) -> Bool {
        let wanted = Array("firecracker".utf8)
        if programName.count < wanted.count { return false }
        return (0...(programName.count - wanted.count)).contains {
            programName[$0..<$0 + wanted.count].elementsEqual(wanted)
        }
    }
}
