import ChildProcesses
import HostFiles
import LinuxCalls

/// A program of the host that does one step of the work.
struct HostTool {
    var arguments: [String]
    var folder: String?
    /// `NAME=value`, beside a small environment that is the same everywhere.
    var environment: [String] = []
    /// The Debian package that brings the program.
    var package: String

    init(_ arguments: [String], package: String, folder: String? = nil) {
        self.arguments = arguments
        self.package = package
        self.folder = folder
    }

    /// Runs it to its end.
    /// - Returns: what it said, standard output and standard error together.
    /// - Throws: `missingTool`, or an error of `failure` with the end of what it said.
    @discardableResult
    func run(orThrow failure: KernelError.Code, _ what: String) throws(KernelError) -> String {
        let output: ChildProcess.Output
        do throws(LinuxError) {
            output = try ChildProcess.output(of: settings, limitBytes: 8 << 20)
        } catch {
            throw missing(error)
        }
        guard output.isSuccess else {
            // Source: strerror(3) of ENOSPC and EDQUOT, in the C locale that tools are run in.
            if ["No space left on device", "Disk quota exceeded"].contains(where: output.text.contains) {
                throw KernelError(.diskFull, "\(what): the disk is full; make room and try again")
            }
            throw KernelError(
                failure,
                "\(what): `\(arguments.joined(separator: " "))` ended with \(output.ending.words): "
                    + Self.end(of: output.text))
        }
        return output.text
    }

    /// Runs it with its standard output in `outputFile` and, where given, its standard input from `inputFile`.
    func run(
        input inputFile: String? = nil, output outputFile: String, orThrow failure: KernelError.Code, _ what: String
    ) throws(KernelError) {
        let ending = try start(input: inputFile, output: outputFile, errorsToo: false).wait()
        guard ending == .exited(0) else {
            throw KernelError(failure, "\(what): `\(arguments.joined(separator: " "))` ended with \(ending.words)")
        }
    }

    /// Starts it with standard output, and where wanted standard error, in a file.
    func start(
        input inputFile: String? = nil, output outputFile: String, errorsToo: Bool
    ) throws(KernelError) -> ChildProcess {
        let output = try storing { () throws(HostFileError) in
            try HostFile(HostPath(outputFile), [.writeOnly, .create, .truncate])
        }
        var settings = settings
        settings.descriptors[1] = output.descriptorNumber
        if errorsToo { settings.descriptors[2] = output.descriptorNumber }
        let input = try storing { () throws(HostFileError) in try HostFile(HostPath(inputFile ?? "/dev/null")) }
        settings.descriptors[0] = input.descriptorNumber
        do throws(LinuxError) {
            return try ChildProcess(settings)
        } catch {
            throw missing(error)
        }
    }

    /// Whether a program of that name is in the search path.
    static func isThere(_ program: String) -> Bool {
        searchPath.split(separator: ":").contains { HostPath("\($0)/\(program)").exists }
    }

    private var settings: ChildProcess.Settings {
        var settings = ChildProcess.Settings(arguments)
        settings.workingDirectory = folder
        settings.environment = ["PATH=" + Self.searchPath, "LC_ALL=C", "HOME=/nonexistent"] + environment
        return settings
    }

    static let searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    private func missing(_ error: LinuxError) -> KernelError {
        KernelError(
            .missingTool,
            "`\(arguments.first ?? "")` cannot be started (\(error)); install it: `sudo apt-get install \(package)`")
    }

    /// The last lines, enough to see what went wrong.
    static func end(of text: String) -> String {
        text.split(separator: "\n").suffix(5).joined(separator: "; ")
    }
}

extension ChildProcess.Ending {
    var words: String {
        switch self {
        case .exited(let status): "status \(status)"
        case .signalled(let number): "signal \(number)"
        }
    }
}
