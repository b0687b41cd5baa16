import LinuxCalls
import MachineConfiguration
import WireFormats

/// Where the configuration comes from.
enum ConfigurationSource: Equatable {
    case file(String)
    case descriptor(Int32)

    /// Reads and checks it.
    /// - Returns: the machine, and what was written of it.
    func load() throws(ConfigurationSourceError) -> (machine: VirtualMachineConfiguration, document: JSONValue) {
        let bytes: [UInt8]
        do throws(LinuxError) { bytes = try read() } catch { throw .unreadable(name, error) }
        let document: JSONValue
        do throws(JSONError) { document = try JSONParser.parse(bytes) } catch { throw .invalid(name, .syntax(error)) }
        do throws(ConfigurationError) {
            return (try VirtualMachineConfiguration.parse(document: document), document)
        } catch {
            throw .invalid(name, error)
        }
    }

    private var name: String {
        switch self {
        case .file(let path): "\"\(path)\""
        case .descriptor(let number): "descriptor \(number)"
        }
    }

    private func read() throws(LinuxError) -> [UInt8] {
        switch self {
        case .file(let path): return try readAll(open(path, .readOnly))
        case .descriptor(let number): return try readAll(FileDescriptor(owning: number))
        }
    }

    /// A little more than may be, so that what is too long is seen to be.
    private func readAll(_ file: consuming FileDescriptor) throws(LinuxError) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count <= JSONParser.maximumBytes {
            if try LinuxCalls.read(file.number, appendingTo: &bytes, maximumBytes: 4096) == 0 { break }
        }
        return bytes
    }
}

/// Why there is no configuration.
enum ConfigurationSourceError: Error, CustomStringConvertible {
    case unreadable(String, LinuxError)
    case invalid(String, ConfigurationError)

    var description: String {
        switch self {
        case .unreadable(let name, let error): "configuration \(name): \(error)"
        case .invalid(let name, let error): "configuration \(name): \(error)"
        }
    }
}
