import AgentProtocol
import ChildPrograms
import FabricProtocol

/// nftables, by the computer's own program.
enum Rules {
    private static let program: ByteString = "/usr/sbin/nft"
    /// Others that change rules are waited for, but not for ever: nobody else is answered meanwhile. The first rules have the kernel load
    /// its modules, which takes an emulated processor that is busy more than ten seconds.
    static let patienceNanoseconds: UInt64 = 90_000_000_000

    /// All of the text, or nothing. Changes of the fabric are made by `Engine.setRules`.
    static func set(_ text: String) throws(FabricFault) {
        let outcome = Programs.run(
            [program, "-f", "-"], input: ByteString(text), patienceNanoseconds: patienceNanoseconds)
        guard outcome.hasSucceeded else { throw FabricFault(outcome.complaint.description) }
    }

    /// What it answers; nil when it cannot.
    static func ask(_ arguments: ByteString...) -> ByteString? {
        let outcome = Programs.run([program] + arguments, patienceNanoseconds: patienceNanoseconds)
        return outcome.hasSucceeded ? outcome.output : nil
    }
}
