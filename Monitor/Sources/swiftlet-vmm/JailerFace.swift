import Jailer
import LinuxCalls
import MonitorAPI

/// The program as Firecracker's jailer.
enum JailerFace {
    /// What is left of the command line, when it is the jailer's: started under that name, or with it as the first argument.
    static func arguments(of arguments: [String]) -> ArraySlice<String>? {
        let name = arguments.first?.utf8.split(separator: 0x2f).last.map { String(decoding: $0, as: UTF8.self) }
        if name == "jailer" { return arguments.dropFirst() }
        return arguments.dropFirst().first == "jailer" ? arguments.dropFirst(2) : nil
    }

    /// - Returns: what to exit with, if no other program has taken this one's place.
    static func run(_ arguments: ArraySlice<String>) -> Int32 {
        let start = Jailer.Start()
        do throws(JailerFault) {
            let invocation = try JailerInvocation(arguments)
            switch invocation.errand {
            case .help:
                writeToStandardOutput("Jailer v\(APIService.version)\n\n" + JailerInvocation.helpText)
            case .version:
                writeToStandardOutput("Jailer v\(APIService.version)\n\nswiftlet-vmm \(Invocation.versionNumber)\n")
            case nil: try Jailer.run(invocation, since: start)
            }
            return 0
        } catch {
            writeToStandardError(error.isMisuse ? "Failed to parse arguments: \(error)\n" : "Jailer error: \(error)\n")
            return 1
        }
    }
}
