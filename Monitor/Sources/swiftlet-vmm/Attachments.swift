import LinuxCalls
import Machine
import MachineConfiguration
import MonitorAPI
import WireFormats

/// Requests that bring devices to a machine that runs, and take them away. A file or TAP device comes open, along with the
/// request.
struct Attachments {
    let service: APIService
    let owner: MachineOwner

    /// Nil for other requests.
    func answer(_ request: HTTPRequest, _ parts: [String], _ passed: PassedDescriptor) -> HTTPResponse? {
        guard request.method == .put, parts.count == 2, parts[0] == "swiftlet" else { return nil }
        switch parts[1] {
        case "attach-drive", "attach-interface", "detach": break
        default: return nil
        }
        do throws(HostRefusal) {
            let body: JSONValue
            do throws(JSONError) { body = try JSONParser.parse(request.body) } catch { throw HostRefusal("\(error)") }
            let slot: Int
            switch parts[1] {
            case "attach-drive": slot = try attach(drive: body, passed.take())
            case "attach-interface": slot = try attach(interface: body, passed.take())
            default:
                try detach(body)
                return HTTPResponse(status: 204)
            }
            var response = HTTPResponse(status: 200)
            JSONValue.object([JSONMember("slot", .integer(Int64(slot)))]).write(to: &response.body)
            return response
        } catch { return .fault(error.description) }
    }

    private func attach(drive value: JSONValue, _ file: consuming FileDescriptor?) throws(HostRefusal) -> Int {
        let drive: VirtualMachineConfiguration.Drive
        do throws(ConfigurationError) { drive = try VirtualMachineConfiguration.drive(value) } catch {
            throw HostRefusal("\(error)")
        }
        guard let file = file else { throw Self.noDescriptor }
        guard drive.segments.isEmpty, !drive.isRootDevice else {
            throw HostRefusal("only a disk of one file, and not the root")
        }
        let machine = try owner.running()
        let slot: Int
        do throws(MachineError) { slot = try machine.attach(drive, file) } catch { throw HostRefusal("\(error)") }
        service.noteAttached(drive: value)
        return slot
    }

    private func attach(interface value: JSONValue, _ tap: consuming FileDescriptor?) throws(HostRefusal) -> Int {
        let interface: VirtualMachineConfiguration.NetworkInterface
        do throws(ConfigurationError) { interface = try VirtualMachineConfiguration.interface(value) } catch {
            throw HostRefusal("\(error)")
        }
        guard let tap = tap else { throw Self.noDescriptor }
        let machine = try owner.running()
        let slot: Int
        do throws(MachineError) { slot = try machine.attach(interface, tap) } catch { throw HostRefusal("\(error)") }
        service.noteAttached(interface: value)
        return slot
    }

    private func detach(_ body: JSONValue) throws(HostRefusal) {
        guard let identifier = body.text("id") else { throw HostRefusal("id: wanted is a device's name") }
        let machine = try owner.running()
        do throws(MachineError) { try machine.detach(identifier) } catch { throw HostRefusal("\(error)") }
        service.noteDetached(identifier)
    }

    private static let noDescriptor = HostRefusal("no descriptor came along with the request")
}
