"""`robolearn up`: a whole deployment from one command, without ROS' launch, and its status on one screen."""
